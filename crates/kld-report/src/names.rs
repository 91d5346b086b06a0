//! Short names of models.

use kld_core::result::Candidate;

/// The last part of a name that is a path.
#[must_use]
pub fn file_name(name: &str) -> &str {
    last_parts(name, 1)
}

/// The names of candidates: the last parts of their paths, as many as tell them apart. `runs/a/model` and `runs/b/model` are
/// `a/model` and `b/model`.
#[must_use]
pub fn short_names(candidates: &[Candidate]) -> Vec<&str> {
    let names: Vec<&str> = candidates.iter().map(|c| &*c.model.name).collect();
    told_apart(&names)
}

fn told_apart<'a>(names: &[&'a str]) -> Vec<&'a str> {
    let parts = |name: &&str| name.split('/').count();
    let most = names.iter().map(parts).max().unwrap_or(1);
    let last = |count| -> Vec<&str> { names.iter().map(|name| last_parts(name, count)).collect() };
    let are_distinct = |names: &Vec<&str>| {
        let mut sorted = names.clone();
        sorted.sort_unstable();
        sorted.windows(2).all(|pair| pair[0] != pair[1])
    };
    (1..=most)
        .map(last)
        .find(are_distinct)
        .unwrap_or_else(|| last(1))
}

fn last_parts(name: &str, count: usize) -> &str {
    let name = name.trim_end_matches('/');
    let begin = name.rmatch_indices('/').nth(count - 1);
    begin.map_or(name, |(at, _)| &name[at + 1..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_as_many_parts_as_tell_them_apart() {
        assert_eq!(told_apart(&["m/p.gguf", "q.gguf"]), ["p.gguf", "q.gguf"]);
        assert_eq!(
            told_apart(&["a/x/model", "a/y/model/", "z/other"]),
            ["x/model", "y/model", "z/other"]
        );
        assert_eq!(told_apart(&["a/m", "m"]), ["a/m", "m"]);
        assert_eq!(told_apart(&["a/m", "a/m"]), ["m", "m"]);
        assert_eq!(told_apart(&[]), [""; 0]);
    }
}
