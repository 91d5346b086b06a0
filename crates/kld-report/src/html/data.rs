//! Data for the scripts of a page: JSON that no text in it can break out of.

use maud::{Markup, PreEscaped, html};
use serde::Serialize;

/// An element that holds `value` as JSON; the script reads it with
/// `JSON.parse(document.getElementById(id).textContent)`.
///
/// The text of a script element ends at `</script` and changes its meaning at `<!--`, whatever stands around them. JSON can spell
/// `<` otherwise, and so nothing that begins with it stands here.
pub(crate) fn data(id: &str, value: &impl Serialize) -> serde_json::Result<Markup> {
    let json = serde_json::to_string(value)?.replace('<', "\\u003c");
    Ok(html! { script id=(id) type="application/json" { (PreEscaped(json)) } })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_ends_the_script_that_holds_it() {
        let hostile = "</script><script>alert(1)</script><!--<script>";
        let markup = data("d", &[hostile]).unwrap().0;
        assert_eq!(markup.matches('<').count(), 2, "{markup}");
        let json = &markup[markup.find('[').unwrap()..=markup.rfind(']').unwrap()];
        let back: Vec<String> = serde_json::from_str(json).unwrap();
        assert_eq!(back, [hostile]);
    }
}
