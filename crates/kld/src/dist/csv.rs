//! CSV inputs (RFC 4180): one column of numbers, or two of name and number; a first line of titles is recognized.

use anyhow::{Context as _, Result, bail, ensure};

use super::table::{Precision, Table};

/// Reads a whole file with the given separator.
///
/// # Errors
///
/// If a line has another number of columns than the first or more than two, a number cannot be read, or a name stands twice.
pub(crate) fn read(bytes: &[u8], separator: u8) -> Result<Table> {
    let mut reader = ::csv::ReaderBuilder::new()
        .has_headers(false)
        .delimiter(separator)
        .from_reader(bytes);
    let (mut names, mut numbers) = (Vec::new(), Vec::new());
    for (row, record) in reader.records().enumerate() {
        let record = record.context("not the table that was expected")?;
        ensure!(
            record.len() <= 2,
            "line {} has {} columns, expected a number, or a name and a number",
            row + 1,
            record.len()
        );
        let last = record.iter().next_back().unwrap_or_default().trim();
        match last.parse() {
            Ok(number) => {
                numbers.push(number);
                names.extend((record.len() == 2).then(|| record[0].to_owned()));
            }
            // Titles.
            Err(_) if row == 0 => {}
            Err(_) => bail!("line {} has `{last}`, expected a number", row + 1),
        }
    }
    if names.is_empty() {
        Ok(Table::unnamed(numbers, Precision::Double))
    } else {
        Table::named(names.into_iter().zip(numbers).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &str) -> String {
        format!("{:#}", read(text.as_bytes(), b',').unwrap_err())
    }

    #[test]
    fn one_column_or_two_with_or_without_titles() {
        assert_eq!(read(b"0.25\n0.75\n", b',').unwrap().numbers, [0.25, 0.75]);
        assert_eq!(
            read(b"p\n0.25\n0.75\n", b',').unwrap().numbers,
            [0.25, 0.75]
        );
        let named = read(
            b"token,count\r\n\" the\",3\r\n\"a \"\"quoted\"\", one\", 4\r\n",
            b',',
        )
        .unwrap();
        assert_eq!(named.names.unwrap(), [" the", "a \"quoted\", one"]);
        assert_eq!(named.numbers, [3.0, 4.0]);
        assert_eq!(
            read(b"a\t1\nb\t2\n", b'\t').unwrap().names.unwrap(),
            ["a", "b"]
        );
    }

    #[test]
    fn what_is_no_table_is_refused_with_its_line() {
        assert!(refused("a,1\nb,x\n").contains("line 2 has `x`"));
        assert!(refused("a,1,2\n").contains("line 1 has 3 columns"));
        assert!(refused("a,1\n2\n").contains("found record with 1 fields"));
        assert!(refused("a,1\nb,2\na,3\n").contains("`a` stands twice, at [0] and [2]"));
        assert!(read(b"a,\xff\xfe\n", b',').is_err());
    }

    #[test]
    fn an_empty_file_is_an_empty_table() {
        assert!(read(b"", b',').unwrap().numbers.is_empty());
    }
}
