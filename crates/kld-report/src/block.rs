//! A table with what is to be said of it: the same on a terminal and in a page.

use maud::{Markup, html};

use crate::{html::table, table::layout};

/// A table, how its numbers came about, and what to beware of.
#[derive(Debug, Default)]
pub(crate) struct Block {
    /// The first one is the head.
    pub(crate) rows: Vec<Vec<String>>,
    pub(crate) notes: Vec<String>,
    pub(crate) warnings: Vec<String>,
}

impl Block {
    /// A block of a head and rows.
    pub(crate) fn of<const N: usize>(
        head: [&str; N],
        rows: impl IntoIterator<Item = [String; N]>,
    ) -> Self {
        let mut all = vec![head.map(str::to_owned).to_vec()];
        all.extend(rows.into_iter().map(|row| row.to_vec()));
        Self {
            rows: all,
            ..Self::default()
        }
    }

    /// For a terminal.
    pub(crate) fn text(&self) -> String {
        let mut text = layout("    ", &self.rows);
        for note in &self.notes {
            text += &format!("    {note}\n");
        }
        for warning in &self.warnings {
            text += &format!("warning: {warning}\n");
        }
        text
    }

    /// For a page.
    pub(crate) fn markup(&self) -> Markup {
        let Some((head, rows)) = self.rows.split_first() else {
            return html! {};
        };
        let head: Vec<&str> = head.iter().map(String::as_str).collect();
        let cells = |row: &Vec<String>| row.iter().map(|cell| html! { (cell) }).collect();
        let rows: Vec<Vec<Markup>> = rows.iter().map(cells).collect();
        html! {
            (table(&head, &rows))
            @for note in &self.notes { p.how { (note) } }
            @for warning in &self.warnings { p.warning role="note" { (warning) } }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_and_a_page_say_the_same() {
        let block = Block {
            notes: vec!["measured twice".to_owned()],
            warnings: vec!["<few>".to_owned()],
            ..Block::of(["name", "P"], [["a & b".to_owned(), "1".to_owned()]])
        };
        assert_eq!(
            block.text(),
            "    name   P\n    a & b  1\n    measured twice\nwarning: <few>\n"
        );
        let page = block.markup().into_string();
        for said in ["a &amp; b", "measured twice", "&lt;few&gt;"] {
            assert!(page.contains(said), "{page}");
        }
    }
}
