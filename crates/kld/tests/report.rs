//! Scenarios of reports: what a page holds, and that no text of a stranger gets the better of it.

mod desk;

use std::fs;

use desk::{Desk, stderr};
use serde_json::Value;

/// A text that wants to be more than text.
const HOSTILE: &str = "</script><script>alert(1)</script><!--<img src=x onerror=alert(1)>&amp;\u{202e}\u{0}\"'`${1} ]]> \
                       </textarea><svg onload=alert(1)> and so on, and so on, and so on, for as long as it takes";

#[test]
fn a_page_is_one_file_that_says_what_the_json_says() {
    let desk = Desk::new();
    let run = "compare p.gguf q8_0.gguf q4_0.gguf --text text.txt --context 32 --html page.html --fail-above mean=1";
    let json = desk.json(run);
    let page = fs::read_to_string(desk.path("page.html")).unwrap();
    for candidate in json["candidates"].as_array().unwrap() {
        let exact = candidate["kl"]["mean"]["value"].as_f64().unwrap();
        assert!(
            page.contains(&format!("<data value=\"{exact}\">")),
            "{exact}"
        );
    }
    assert!(page.contains("✓ passed") && !page.contains("✗ failed"));
    for outside in [
        "http:",
        "https:",
        "@import",
        "url(",
        " src=",
        "<link rel=\"stylesheet",
    ] {
        assert!(!page.contains(outside), "{outside}");
    }
    let failed = desk.kld(&run.replace("mean=1", "mean=0.001"));
    assert_eq!(failed.status.code(), Some(1), "{}", stderr(&failed));
    let page = fs::read_to_string(desk.path("page.html")).unwrap();
    assert!(page.contains("✓ passed") && page.contains("✗ failed"));
}

#[test]
fn text_json_page_card_and_exit_code_have_one_verdict() {
    let desk = Desk::new();
    for (gate, passes) in [("mean=1,js=0.5", true), ("mean=1,js=0.00001", false)] {
        let output = desk.kld(&format!(
            "compare p.gguf q4_0.gguf --text text.txt --context 32 --fail-above {gate} --json r.json --html page.html --markdown card.md"
        ));
        let code = output.status.code();
        assert_eq!(code, Some(i32::from(!passes)), "{}", stderr(&output));
        assert_eq!(
            desk.result("r.json")["candidates"][0]["verdict"]["passed"],
            passes
        );
        let read = |name: &str| fs::read_to_string(desk.path(name)).unwrap();
        let told = [
            (
                String::from_utf8(output.stdout).unwrap(),
                "verdict: passed",
                "verdict: FAILED",
            ),
            (read("page.html"), "✓ passed", "✗ failed"),
            (read("card.md"), "✓ passed", "✗ **failed**"),
        ];
        for (text, passed, failed) in told {
            assert_eq!(
                (text.contains(passed), text.contains(failed)),
                (passes, !passes),
                "{text}"
            );
        }
        // Told again, the verdict stays what it was, and so does the exit code.
        assert_eq!(
            desk.kld("report r.json").status.code(),
            output.status.code()
        );
    }
}

#[test]
fn no_text_of_a_stranger_becomes_markup() {
    let desk = Desk::new();
    fs::write(desk.path("hostile.txt"), HOSTILE).unwrap();
    fs::copy(desk.path("hostile.txt"), desk.path("<img src=x>.txt")).unwrap();
    desk.printed("compare p.gguf q8_0.gguf --text . --context 16 --score all --html page.html");
    let page = fs::read_to_string(desk.path("page.html")).unwrap();
    assert!(!page.contains("<img") && !page.contains("<script>alert") && !page.contains("<!--"));
    // The frame's script, the data, and the script that shows the data.
    assert_eq!(page.matches("<script").count(), 3);
    let data = page.split("type=\"application/json\">").nth(1).unwrap();
    let data: Value = serde_json::from_str(data.split("</script>").next().unwrap()).unwrap();
    let pieces: String = data["stretches"][0]["pieces"]
        .as_array()
        .unwrap()
        .iter()
        .map(|piece| piece.as_str().unwrap())
        .collect();
    assert!(
        HOSTILE.contains(&pieces) && !pieces.is_empty(),
        "{pieces:?}"
    );
}

#[test]
fn a_run_folder_is_told_again_without_any_model() {
    let desk = Desk::new();
    let forms = "--html page.html --markdown card.md --tokens tokens.parquet --csv table.csv";
    let table = desk.printed(&format!(
        "compare p.gguf q8_0.gguf q4_0.gguf --text text.txt --context 32 --run night {forms}"
    ));
    let first = |name: &str| fs::read(desk.path(name)).unwrap();
    let names = ["page.html", "card.md", "tokens.parquet", "table.csv"];
    let before = names.map(first);
    for model in ["p.gguf", "q8_0.gguf", "q4_0.gguf", "text.txt"] {
        fs::remove_file(desk.path(model)).unwrap();
    }
    assert_eq!(desk.printed(&format!("report night {forms}")), table);
    for (name, before) in names.iter().zip(before) {
        assert!(first(name) == before, "{name} differs");
    }
}

#[test]
fn runs_of_several_candidates_are_ranked_as_one() {
    let desk = Desk::new();
    let compare = |candidates: &str, folder: &str| {
        desk.printed(&format!(
            "compare p.gguf {candidates} --text text.txt --context 32 --run {folder}"
        ));
    };
    compare("q8_0.gguf", "a");
    compare("q4_0.gguf", "b");
    compare("q8_0.gguf q4_0.gguf", "both");
    let together = desk.json("report a b");
    let at_once = desk.json("report both");
    for part in ["candidates", "ranking", "protocol"] {
        assert_eq!(together[part], at_once[part], "{part}");
    }
    desk.printed("compare q8_0.gguf q4_0.gguf --text text.txt --context 32 --run other");
    let refused = desk.refused("report a other");
    assert!(
        refused.contains("not of one run; model: p.gguf"),
        "{refused}"
    );
    desk.printed("compare p.gguf q4_0.gguf --text text.txt --context 64 --run longer");
    let refused = desk.refused("report a longer");
    assert!(refused.contains("context: 32 there, 64 here"), "{refused}");
}

#[test]
fn a_saved_result_is_told_and_judged_again_but_has_no_tokens() {
    let desk = Desk::new();
    let table = desk.printed(
        "compare p.gguf q8_0.gguf --text text.txt --context 32 --json r.json --fail-above mean=1",
    );
    let table = table.as_str();
    desk.printed("report r.json --html page.html");
    assert_eq!(desk.printed("report r.json"), table);
    let judged = desk.kld("report r.json --fail-above mean=0.00001 --markdown -");
    assert_eq!(judged.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&judged.stdout).contains("✗ **failed**"));
    let refused = desk.refused("report r.json --tokens t.parquet");
    assert!(refused.contains("has no single tokens"), "{refused}");
    let refused = desk.refused("report r.json r.json");
    assert!(refused.contains("only from their run folders"), "{refused}");
    fs::write(desk.path("other.json"), "{\"schema\": \"kld.score/1\"}").unwrap();
    let refused = desk.refused("report other.json");
    assert!(
        refused.contains("expected schema kld.compare/1"),
        "{refused}"
    );
    fs::write(desk.path("broken.json"), "{\"schema\": ").unwrap();
    assert!(desk.refused("report broken.json").contains("is no result"));
    assert!(desk.refused("report text.txt").contains("is no result"));
    assert!(desk.refused("report nowhere").contains("nowhere"));
}
