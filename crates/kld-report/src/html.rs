//! One self-contained page: no network, no files beside it, nothing but a browser needed.
//!
//! [`Page`] is the frame that every report shares: head, style, the switch between light and dark, foot. [`chart`] draws charts
//! as inline SVG. What stands in a page comes from models and texts of strangers, so it is hostile until proven otherwise:
//! maud escapes whatever is put into markup, [`data`] escapes what is put into the embedded JSON, and a content security policy
//! names the only scripts that may run by their hashes and forbids every request.
//!
//! Another page is an [`Exporter`](crate::Exporter) that fills a [`Page`] and writes it:
//!
//! ```text
//! Page {
//!     title: "how far B is from A",
//!     lead: html! { dl { dt { "text" } dd { (name) } } },
//!     body: html! {
//!         div.tiles { (tile("KL(A‖B), nats", &html! { "0.0127" }, "95 %: 0.0122 to 0.0131")) }
//!         (section("Words", "Largest share of KL first.", &table(&["word", "KL"], &rows)))
//!     },
//!     style: "",       // what this page needs beside style.css
//!     scripts: &[],    // it may read data(id, value); without scripts it must still be of use
//!     version: &result.version,
//! }
//! .write(out)
//! ```
//!
//! [`tile`], [`section`], [`table`] and [`tabs`] look alike on every page. In `table` the first column is text and the others are numbers.

pub(crate) mod chart;
pub(crate) mod comparison;
pub(crate) mod data;
mod pairs;
mod quality;
mod suggest;
mod text;
mod watch;

use std::io::{self, Write};

use base64::{Engine, prelude::BASE64_STANDARD};
use maud::{DOCTYPE, Markup, PreEscaped, html};
use sha2::{Digest, Sha256};

const STYLE: &str = include_str!("html/style.css");

/// The switches that every page has: the theme, and tabs.
const FRAME_SCRIPT: &str = include_str!("html/frame.js");

/// A page to be written.
#[derive(Debug)]
pub(crate) struct Page<'a> {
    /// The title, in the tab and at the top.
    pub(crate) title: &'a str,
    /// What stands under the title.
    pub(crate) lead: Markup,
    /// The sections.
    pub(crate) body: Markup,
    /// What only this kind of page needs beside the frame's style.
    pub(crate) style: &'a str,
    /// Scripts of this kind of page; each runs once the body is there.
    pub(crate) scripts: &'a [&'a str],
    /// Version of the program, for the foot.
    pub(crate) version: &'a str,
}

impl Page<'_> {
    /// Writes the page.
    pub(crate) fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        out.write_all(self.markup().0.as_bytes())
    }

    fn markup(&self) -> Markup {
        let scripts: Vec<&str> = [FRAME_SCRIPT].iter().chain(self.scripts).copied().collect();
        html! {
            (DOCTYPE)
            html lang="en" {
                head {
                    meta charset="utf-8";
                    meta http-equiv="Content-Security-Policy" content=(policy(&scripts));
                    meta name="viewport" content="width=device-width, initial-scale=1";
                    meta name="generator" content={ "kld " (self.version) };
                    title { (self.title) }
                    // Keeps browsers from asking for one.
                    link rel="icon" href="data:,";
                    style { (PreEscaped(STYLE)) (PreEscaped(self.style)) }
                }
                body {
                    header.top {
                        p.brand { "kld" }
                        button #theme type="button" title="Light, dark, or as the system has it" { "Theme: system" }
                        h1 { (self.title) }
                        div.lead { (self.lead) }
                    }
                    main { (self.body) }
                    footer {
                        "Made by kld " (self.version) ". This page is complete in itself: it makes no requests."
                    }
                    @for script in &scripts { script { (PreEscaped(script)) } }
                }
            }
        }
    }
}

/// Nothing may be fetched, and no script may run but these.
fn policy(scripts: &[&str]) -> String {
    let hash = |script: &&str| {
        let digest = BASE64_STANDARD.encode(Sha256::digest(script.as_bytes()));
        format!("'sha256-{digest}'")
    };
    let hashes: Vec<String> = scripts.iter().map(hash).collect();
    format!(
        "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'; script-src {}",
        hashes.join(" ")
    )
}

/// A number that matters, with its name above and what bounds it below.
pub(crate) fn tile(name: &str, value: &Markup, note: &str) -> Markup {
    html! {
        div.tile {
            div.name { (name) }
            div.value { (value) }
            div.note { (note) }
        }
    }
}

/// A titled section with a sentence on how to read it.
pub(crate) fn section(title: &str, how_to_read: &str, body: &Markup) -> Markup {
    html! {
        section {
            h2 { (title) }
            p.how { (how_to_read) }
            (body)
        }
    }
}

/// A table: the first column is text, all others are numbers, set to the right.
pub(crate) fn table(head: &[&str], rows: &[Vec<Markup>]) -> Markup {
    html! {
        div.scroll tabindex="0" role="region" aria-label="table" {
            table {
                thead { tr { @for cell in head { th scope="col" { (cell) } } } }
                tbody {
                    @for row in rows {
                        tr {
                            @for (index, cell) in row.iter().enumerate() {
                                @if index == 0 { th scope="row" { (cell) } } @else { td { (cell) } }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// Panels of which one is seen at a time, chosen by its tab; without scripts and in print all are seen.
pub(crate) fn tabs(label: &str, names: &[String], panels: &[Markup]) -> Markup {
    html! {
        @if names.len() > 1 {
            div.tabs role="tablist" aria-label=(label) {
                @for (index, name) in names.iter().enumerate() {
                    button type="button" role="tab" id={ "tab-" (index) } aria-controls={ "panel-" (index) }
                        aria-selected=(index == 0) tabindex=[(index > 0).then_some("-1")] { (name) }
                }
            }
        }
        @for (index, panel) in panels.iter().enumerate() {
            div.panel id={ "panel-" (index) } role=[(names.len() > 1).then_some("tabpanel")]
                aria-labelledby=[(names.len() > 1).then(|| format!("tab-{index}"))] { (panel) }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_scripts_of_the_page_may_run_and_nothing_may_be_fetched() {
        let hostile = "</title><script>alert(1)</script>";
        let page = Page {
            title: hostile,
            lead: html! { (hostile) },
            body: tile(hostile, &html! { (hostile) }, hostile),
            style: "",
            scripts: &["let a = 1;"],
            version: "1",
        };
        let mut out = Vec::new();
        page.write(&mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        assert!(!text.contains("<script>alert"), "{text}");
        assert_eq!(text.matches("<script").count(), 2);
        // printf 'let a = 1;' | openssl dgst -sha256 -binary | base64
        assert!(
            text.contains("&#39;sha256-") || text.contains("'sha256-"),
            "{text}"
        );
        assert!(text.contains("default-src 'none'"));
        for outside in ["http://", "https://", "//cdn", "@import", "url("] {
            assert!(!text.contains(outside), "{outside}");
        }
    }
}
