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
