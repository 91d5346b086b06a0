//! Rules about series: what somebody wants to be told of.
//!
//! `kl_heldout > 1.1 * min(kl_heldout)`, `gap > 0.05 and kl_base > 0.2`: numbers, names of series, `+ - * /`, comparisons, `and`, `or`, and
//! `min`, `max`, `mean`, `last` of a series so far. A bare name is its last value. What is not a number fires: nobody passes by what was not measured.
//!
//! ```
//! use kld_core::series::{Point, Rule, Series};
//! let values = [0.5, 0.4, 0.43, 0.45];
//! let points = (1..).zip(values).map(|(step, value)| Point::bare(f64::from(step), value)).collect();
//! let rule: Rule = "kl > 1.1 * min(kl)".parse()?;
//! let alert = rule.replay(&[Series::new("kl", "kl", points)]);
//! assert_eq!(alert.first_step, Some(4.0)); // 0.45 > 1.1 · 0.4
//! # Ok::<(), kld_core::series::RuleError>(())
//! ```

use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::{
    Series,
    parse::{Operator, Over, RuleError, Tree, parse},
};

/// A rule that was read.
#[derive(Clone, Debug, PartialEq)]
pub struct Rule {
    text: String,
    tree: Tree,
}

/// What came of a rule over a whole series.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Alert {
    /// The rule.
    pub rule: String,
    /// The first step at which it held; `None` where it never did.
    pub first_step: Option<f64>,
    /// The last step at which it held.
    pub last_step: Option<f64>,
    /// At how many steps it held …
    pub held: usize,
    /// … of how many at which it could be asked.
    pub asked: usize,
    /// Does it hold at the last of them?
    pub holds_now: bool,
}

impl FromStr for Rule {
    type Err = RuleError;

    fn from_str(text: &str) -> Result<Self, RuleError> {
        Ok(Self {
            text: text.to_owned(),
            tree: parse(text)?,
        })
    }
}

impl Rule {
    /// The rule as it was given.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The names of the series in it.
    #[must_use]
    pub fn names(&self) -> Vec<&str> {
        self.tree.names()
    }

    /// The first name in the rule that is neither a series' name nor what it was called where it was read.
    #[must_use]
    pub fn unknown_name(&self, series: &[Series]) -> Option<&str> {
        let mut names = self.tree.names().into_iter();
        names.find(|name| find(series, name).is_none())
    }

    /// Asks the rule at every step at which one of its series was told, from the first on at which all of them are known.
    #[must_use]
    pub fn replay(&self, series: &[Series]) -> Alert {
        let mut alert = Alert {
            rule: self.text.clone(),
            first_step: None,
            last_step: None,
            held: 0,
            asked: 0,
            holds_now: false,
        };
        let names = self.tree.names();
        let mut used: Vec<(&str, &Series, Seen)> = Vec::new();
        for name in names {
            let Some(found) = find(series, name) else {
                return alert;
            };
            if used.iter().all(|(known, ..)| *known != name) {
                used.push((name, found, Seen::default()));
            }
        }
        let mut steps: Vec<f64> = used
            .iter()
            .flat_map(|(_, series, _)| series.points.iter().map(|p| p.step))
            .collect();
        steps.sort_by(f64::total_cmp);
        steps.dedup();
        for step in steps {
            for (_, series, seen) in &mut used {
                seen.go_on_to(step, series);
            }
            if used.iter().any(|(.., seen)| seen.count == 0) {
                continue;
            }
            alert.asked += 1;
            let value = |name: &str, over| {
                let found = used.iter().find(|(known, ..)| *known == name);
                found.map_or(f64::NAN, |(.., seen)| seen.value(over))
            };
            alert.holds_now = holds(&self.tree, &value);
            if alert.holds_now {
                alert.held += 1;
                alert.first_step.get_or_insert(step);
                alert.last_step = Some(step);
            }
        }
        alert
    }
}

/// A series by its name, or by what it was called where it was read.
fn find<'a>(series: &'a [Series], name: &str) -> Option<&'a Series> {
    let named = |s: &&Series| s.name == name;
    let keyed = |s: &&Series| s.key == name;
    let mut all = series.iter().filter(|s| !s.points.is_empty());
    all.clone().find(named).or_else(|| all.find(keyed))
}

/// What is known of a series so far.
#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    count: usize,
    last: f64,
    least: f64,
    most: f64,
    sum: f64,
}

impl Seen {
    fn go_on_to(&mut self, step: f64, series: &Series) {
        for point in &series.points[self.count..] {
            if point.step > step {
                break;
            }
            let value = point.value;
            if self.count == 0 {
                (self.least, self.most) = (value, value);
            }
            self.count += 1;
            self.last = value;
            self.least = self.least.min(value);
            self.most = self.most.max(value);
            self.sum += value;
        }
    }

    fn value(&self, over: Over) -> f64 {
        match over {
            Over::Last => self.last,
            Over::Min => self.least,
            Over::Max => self.most,
            Over::Mean => self.sum / self.count as f64,
        }
    }
}

/// Does a claim hold? What is not a number does.
fn holds(tree: &Tree, value: &impl Fn(&str, Over) -> f64) -> bool {
    let Tree::Pair(a, operator, b) = tree else {
        return false;
    };
    match operator {
        Operator::And => return holds(a, value) && holds(b, value),
        Operator::Or => return holds(a, value) || holds(b, value),
        _ => {}
    }
    let (a, b) = (amount(a, value), amount(b, value));
    if a.is_nan() || b.is_nan() {
        return true;
    }
    match operator {
        Operator::Less => a < b,
        Operator::LessOrEqual => a <= b,
        Operator::Greater => a > b,
        Operator::GreaterOrEqual => a >= b,
        Operator::Equal => a == b,
        _ => a != b,
    }
}

fn amount(tree: &Tree, value: &impl Fn(&str, Over) -> f64) -> f64 {
    match tree {
        Tree::Number(number) => *number,
        Tree::Series(name, over) => value(name, *over),
        Tree::Negative(tree) => -amount(tree, value),
        Tree::Pair(a, operator, b) => {
            let (a, b) = (amount(a, value), amount(b, value));
            match operator {
                Operator::Add => a + b,
                Operator::Subtract => a - b,
                Operator::Multiply => a * b,
                Operator::Divide => a / b,
                _ => f64::NAN,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Point;
    use super::*;

    fn series(name: &str, values: &[f64]) -> Series {
        let points = (1..).zip(values);
        let points = points.map(|(step, v)| Point::bare(f64::from(step), *v));
        Series::new(name, "some/key", points.collect())
    }

    fn first(rule: &str, values: &[f64]) -> Option<f64> {
        let alert = rule.parse::<Rule>().unwrap();
        alert.replay(&[series("a", values)]).first_step
    }

    #[test]
    fn rules_are_reckoned_as_written() {
        for (rule, expected) in [
            ("a > 2", Some(3.0)),
            ("a >= 2", Some(2.0)),
            ("a == 1 + 2 * 1", Some(3.0)),
            ("a == (1 + 2) * 1", Some(3.0)),
            ("a - 1 - 1 == 1", Some(3.0)),
            ("8 / 4 / a < 1", Some(3.0)),
            ("-a < -3.5e0", Some(4.0)),
            ("a > 1 and a < 3 or a > 100", Some(2.0)),
            ("a > 100 or a > 3 and a < 100", Some(4.0)),
            ("(a > 100 or a > 1) and a < 3", Some(2.0)),
            ("a > mean(a) + 1", Some(4.0)),
            ("max(a) - min(a) >= 2", Some(3.0)),
            ("last(a) != a", None),
            ("\"some/key\" > 3", Some(4.0)),
            ("a / 0 > 1", Some(1.0)),
        ] {
            assert_eq!(first(rule, &[1.0, 2.0, 3.0, 4.0]), expected, "{rule}");
        }
    }

    #[test]
    fn what_is_not_a_number_fires() {
        assert_eq!(first("a > 100", &[1.0, f64::NAN, 1.0]), Some(2.0));
        assert_eq!(first("a < 0", &[1.0, f64::INFINITY]), None);
        assert_eq!(first("a > 100", &[1.0, f64::INFINITY]), Some(2.0));
    }

    #[test]
    fn a_rule_waits_until_all_its_series_are_known_and_is_asked_when_any_goes_on() {
        let sparse = Series::new("b", "b", vec![Point::bare(2.5, 1.0), Point::bare(9.0, 5.0)]);
        let rule: Rule = "a > 0 and b > 0".parse().unwrap();
        let alert = rule.replay(&[series("a", &[1.0, 1.0, 1.0]), sparse]);
        assert_eq!((alert.first_step, alert.last_step), (Some(2.5), Some(9.0)));
        assert_eq!((alert.held, alert.asked, alert.holds_now), (3, 3, true));
        let unknown: Rule = "a > 0 and kl_base > 1".parse().unwrap();
        assert_eq!(
            unknown.unknown_name(&[series("a", &[1.0])]),
            Some("kl_base")
        );
    }

    #[test]
    fn a_bad_rule_is_refused_at_its_place() {
        for (rule, at, problem) in [
            ("", 0, "ends here"),
            ("a >", 3, "ends here"),
            ("a > > 1", 4, "expected a number"),
            ("a > 1 b", 6, "expected an operator or the end"),
            ("a + 1", 0, "only a number"),
            ("1 < a < 2", 6, "do not chain"),
            ("a > 1 and 2", 10, "expected a comparison"),
            ("1 + (a > 2) > 3", 4, "expected a number"),
            ("median(a) > 1", 0, "is no function"),
            ("min(1) > 1", 4, "the name of a series"),
            ("min(a > 1", 6, "expected )"),
            ("(a > 1", 6, "expected )"),
            ("a > 1x", 4, "is no number"),
            ("a > 1e999", 4, "is no number"),
            ("\"a > 1", 0, "not closed"),
            ("or > 1", 0, "expected a number"),
            ("a > -(a > 1)", 5, "expected a number"),
        ] {
            let error = rule.parse::<Rule>().unwrap_err();
            assert!(error.problem.contains(problem), "{rule}: {error}");
            assert_eq!(error.at, at, "{error}");
        }
        let deep = "(".repeat(10_000);
        assert!(deep.parse::<Rule>().unwrap_err().problem.contains("deep"));
        let shown = "gap >> 1".parse::<Rule>().unwrap_err().to_string();
        assert!(shown.ends_with("\n    gap >> 1\n         ^"), "{shown}");
    }
}
