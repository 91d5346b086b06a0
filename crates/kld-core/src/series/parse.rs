//! The words of a rule, read into a tree.
//!
//! ```text
//! rule    = and ("or" and)*
//! and     = compare ("and" compare)*
//! compare = sum [("<" | "<=" | ">" | ">=" | "==" | "!=") sum]
//! sum     = product (("+" | "-") product)*
//! product = sign (("*" | "/") sign)*
//! sign    = "-" sign | number | name | "quoted name" | function "(" name ")" | "(" rule ")"
//! ```

use std::fmt;

/// A rule that could not be read: what is wrong, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleError {
    /// The rule.
    pub rule: String,
    /// The character at which reading stopped, counted from 0.
    pub at: usize,
    /// What was expected, and what stands there.
    pub problem: String,
}

/// On three lines, the place marked under the rule.
impl fmt::Display for RuleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (indent, space) = ("    ", " ".repeat(self.at));
        write!(
            f,
            "{}\n{indent}{}\n{indent}{space}^",
            self.problem, self.rule
        )
    }
}

impl std::error::Error for RuleError {}

/// An expression.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Tree {
    Number(f64),
    /// A series, by its last value or by one of all so far.
    Series(String, Over),
    Negative(Box<Tree>),
    Pair(Box<Tree>, Operator, Box<Tree>),
}

/// What is taken of a series.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Over {
    Last,
    Min,
    Max,
    Mean,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operator {
    Add,
    Subtract,
    Multiply,
    Divide,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    Equal,
    NotEqual,
    And,
    Or,
}

const OVER: [(&str, Over); 4] = [
    ("last", Over::Last),
    ("min", Over::Min),
    ("max", Over::Max),
    ("mean", Over::Mean),
];

/// Operators by how loosely they bind, the loosest first. A longer one comes before its own beginning.
const LEVELS: [&[(&str, Operator)]; 5] = [
    &[("or", Operator::Or)],
    &[("and", Operator::And)],
    &[
        ("<=", Operator::LessOrEqual),
        ("<", Operator::Less),
        (">=", Operator::GreaterOrEqual),
        (">", Operator::Greater),
        ("==", Operator::Equal),
        ("!=", Operator::NotEqual),
    ],
    &[("+", Operator::Add), ("-", Operator::Subtract)],
    &[("*", Operator::Multiply), ("/", Operator::Divide)],
];
/// Comparisons do not chain.
const COMPARISONS: usize = 2;
/// Parentheses and signs may be nested so deep.
const DEEPEST: usize = 64;

impl Tree {
    /// Does it say whether, not how much?
    pub(super) fn is_claim(&self) -> bool {
        use Operator::{Add, Divide, Multiply, Subtract};
        match self {
            Self::Pair(_, operator, _) => !matches!(operator, Add | Subtract | Multiply | Divide),
            _ => false,
        }
    }

    /// The names of the series in it.
    pub(super) fn names(&self) -> Vec<&str> {
        match self {
            Self::Number(_) => Vec::new(),
            Self::Series(name, _) => vec![name],
            Self::Negative(tree) => tree.names(),
            Self::Pair(a, _, b) => [a.names(), b.names()].concat(),
        }
    }
}

/// Reads a rule.
pub(super) fn parse(rule: &str) -> Result<Tree, RuleError> {
    let mut reader = Reader {
        rule: rule.chars().collect(),
        at: 0,
        depth: 0,
    };
    let tree = reader.level(0)?;
    reader.skip_space();
    if reader.at < reader.rule.len() {
        return Err(reader.expected("an operator or the end"));
    }
    if !tree.is_claim() {
        reader.at = 0;
        return Err(reader.error("a rule compares, as in gap > 0.05; this is only a number"));
    }
    Ok(tree)
}

struct Reader {
    rule: Vec<char>,
    at: usize,
    depth: usize,
}

impl Reader {
    /// Expressions joined by operators of this level and of those that bind more tightly.
    fn level(&mut self, level: usize) -> Result<Tree, RuleError> {
        let Some(operators) = LEVELS.get(level) else {
            return self.sign();
        };
        self.skip_space();
        let begin = self.at;
        let mut tree = self.level(level + 1)?;
        let mut compared = false;
        loop {
            self.skip_space();
            let at = self.at;
            let Some(operator) = self.operator(operators) else {
                return Ok(tree);
            };
            if compared && level == COMPARISONS {
                self.at = at;
                return Err(self.error("comparisons do not chain: join them with `and`"));
            }
            let right_begin = self.at;
            let right = self.level(level + 1)?;
            // Claims are joined by `and` and `or`, amounts by all others.
            for (side, place) in [(&tree, begin), (&right, right_begin)] {
                if side.is_claim() != (level < COMPARISONS) {
                    self.at = place;
                    self.skip_space();
                    let wanted = if level < COMPARISONS {
                        "a comparison"
                    } else {
                        "a number"
                    };
                    return Err(self.error(&format!("expected {wanted} here")));
                }
            }
            tree = Tree::Pair(Box::new(tree), operator, Box::new(right));
            compared = true;
        }
    }

    fn sign(&mut self) -> Result<Tree, RuleError> {
        self.depth += 1;
        if self.depth > DEEPEST {
            return Err(self.error(&format!("more than {DEEPEST} parentheses or signs deep")));
        }
        self.skip_space();
        let tree = match self.rule.get(self.at) {
            Some('-') => {
                self.at += 1;
                let begin = self.at;
                let tree = self.sign()?;
                if tree.is_claim() {
                    self.at = begin;
                    return Err(self.error("expected a number here"));
                }
                Tree::Negative(Box::new(tree))
            }
            Some('(') => {
                self.at += 1;
                let tree = self.level(0)?;
                self.close()?;
                tree
            }
            Some('"') => Tree::Series(self.quoted()?, Over::Last),
            Some(c) if c.is_ascii_digit() || *c == '.' => self.number()?,
            Some(c) if c.is_alphabetic() || *c == '_' => self.named()?,
            _ => return Err(self.expected("a number, the name of a series, or (")),
        };
        self.depth -= 1;
        Ok(tree)
    }

    fn number(&mut self) -> Result<Tree, RuleError> {
        let begin = self.at;
        while let Some(c) = self.rule.get(self.at) {
            let after_e = self.at > begin && matches!(self.rule[self.at - 1], 'e' | 'E');
            if !(c.is_ascii_alphanumeric() || *c == '.' || (after_e && matches!(c, '+' | '-'))) {
                break;
            }
            self.at += 1;
        }
        let text: String = self.rule[begin..self.at].iter().collect();
        match text.parse() {
            Ok(number) if f64::is_finite(number) => Ok(Tree::Number(number)),
            _ => {
                self.at = begin;
                Err(self.error(&format!("{text:?} is no number")))
            }
        }
    }

    fn named(&mut self) -> Result<Tree, RuleError> {
        let begin = self.at;
        let word = self.word();
        if ["and", "or"].contains(&&*word) {
            self.at = begin;
            return Err(self.expected("a number, the name of a series, or ("));
        }
        self.skip_space();
        if self.rule.get(self.at) != Some(&'(') {
            return Ok(Tree::Series(word, Over::Last));
        }
        let Some((_, over)) = OVER.iter().find(|(name, _)| *name == word) else {
            self.at = begin;
            return Err(self.error(&format!(
                "{word:?} is no function: there are min, max, mean and last"
            )));
        };
        self.at += 1;
        self.skip_space();
        let name = match self.rule.get(self.at) {
            Some('"') => self.quoted()?,
            Some(c) if c.is_alphabetic() || *c == '_' => self.word(),
            _ => return Err(self.expected("the name of a series")),
        };
        self.close()?;
        Ok(Tree::Series(name, *over))
    }

    fn word(&mut self) -> String {
        let begin = self.at;
        let is_part = |c: &char| c.is_alphanumeric() || matches!(c, '_' | '.');
        while self.rule.get(self.at).is_some_and(is_part) {
            self.at += 1;
        }
        self.rule[begin..self.at].iter().collect()
    }

    /// A name with characters that words do not have: `"eval/loss"`.
    fn quoted(&mut self) -> Result<String, RuleError> {
        let rest = &self.rule[self.at + 1..];
        let Some(length) = rest.iter().position(|c| *c == '"') else {
            return Err(self.error("this quotation mark is not closed"));
        };
        let name = rest[..length].iter().collect();
        self.at += length + 2;
        Ok(name)
    }

    fn close(&mut self) -> Result<(), RuleError> {
        self.skip_space();
        if self.rule.get(self.at) != Some(&')') {
            return Err(self.expected(")"));
        }
        self.at += 1;
        Ok(())
    }

    fn operator(&mut self, operators: &[(&str, Operator)]) -> Option<Operator> {
        let rest = &self.rule[self.at..];
        let stands = |sign: &str| {
            let is_there = sign.chars().eq(rest.iter().copied().take(sign.len()));
            let after = rest.get(sign.len());
            let is_word = sign.starts_with(char::is_alphabetic);
            is_there && !(is_word && after.is_some_and(|c| c.is_alphanumeric() || *c == '_'))
        };
        let (sign, operator) = operators.iter().find(|(sign, _)| stands(sign))?;
        self.at += sign.len();
        Some(*operator)
    }

    fn skip_space(&mut self) {
        while self.rule.get(self.at).is_some_and(|c| c.is_whitespace()) {
            self.at += 1;
        }
    }

    fn expected(&self, what: &str) -> RuleError {
        match self.rule.get(self.at) {
            Some(found) => self.error(&format!("expected {what}, found {found:?}")),
            None => self.error(&format!("expected {what}, but the rule ends here")),
        }
    }

    fn error(&self, problem: &str) -> RuleError {
        RuleError {
            rule: self.rule.iter().collect(),
            at: self.at,
            problem: problem.to_owned(),
        }
    }
}
