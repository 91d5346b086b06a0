//! `kld demo`: the first thing that a new user sees.

#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod desk;

use std::fs;

use desk::Desk;

#[test]
fn the_demo_ranks_candidates_writes_a_page_and_says_what_is_next() {
    let desk = Desk::new();
    let printed = desk.printed("demo first --threads 2");
    let ranking = printed
        .lines()
        .skip_while(|line| !line.starts_with("ranking"));
    let names: Vec<&str> = ranking.skip(1).take(5).map(|line| &line[..16]).collect();
    let forms = ["q8_0", "q5_k", "q4_k", "q3_k", "q2_k"].map(|form| format!("austen → {form}"));
    for (name, form) in names.iter().zip(&forms) {
        assert!(name.starts_with(form), "{form}:\n{printed}");
    }
    for told in [
        "$ kld compare first/austen first/austen-small --quantize",
        "Perplexity alone would have misled you: it puts austen-small",
        "kld explain first/austen",
        "kld train first/austen --student first/austen-small",
    ] {
        assert!(printed.contains(told), "{told}:\n{printed}");
    }
    let page = fs::read_to_string(desk.path("first/page.html")).unwrap();
    assert!(page.contains("austen-small") && page.contains("Lady Russell"));

    // What it says can be tried next, with what it left.
    let next = printed
        .lines()
        .find(|line| line.starts_with("  kld train"))
        .unwrap();
    let next = next
        .trim()
        .strip_prefix("kld ")
        .unwrap()
        .replace("--steps 30", "--steps 2");
    let trained = desk.printed(&next);
    assert!(trained.contains("steps      2 of 2"), "{trained}");

    // A second time it finds its files; a file of somebody else it leaves alone.
    fs::write(desk.path("first/persuasion.txt"), "mine").unwrap();
    let refused = desk.refused("demo first");
    assert!(refused.contains("give another folder"), "{refused}");
    assert_eq!(
        fs::read_to_string(desk.path("first/persuasion.txt")).unwrap(),
        "mine"
    );
}
