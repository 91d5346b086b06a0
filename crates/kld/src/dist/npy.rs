//! NumPy's `.npy` files, versions 1 to 3: floats or whole numbers in either byte order, one row of them or several.
//!
//! A file is the magic `\x93NUMPY`, two bytes of version, the length of the header (2 bytes, from version 2 on 4 bytes, little
//! endian), the header - a Python dictionary literal with `descr`, `fortran_order` and `shape` - and the data. Nothing is believed
//! before it is compared with the length of the file, and pickled objects are never read.
//!
//! <https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html>

use anyhow::{Context as _, Result, bail, ensure};

use super::{
    elements::{Element, Order, row_length},
    table::Table,
};

/// Reads a file that holds one row of numbers.
///
/// # Errors
///
/// If it is not such a file, is cut short or goes on after the data, or holds something else than one row of numbers.
pub(crate) fn read(bytes: &[u8]) -> Result<Table> {
    let array = Array::parse(bytes)?;
    let length = row_length(&array.shape).with_context(|| {
        format!(
            "the array has the shape {:?}, expected one row of numbers\n    hint: save one row, np.save(file, array[i])",
            array.shape
        )
    })?;
    Ok(Table::unnamed(
        array.numbers(length)?,
        array.element.precision(),
    ))
}

/// Reads a file that holds rows of numbers: all of them, one after the other, and how many stand in a row.
///
/// # Errors
///
/// If it is not such a file, is cut short or goes on after the data, or holds something else than rows stored one after the other.
pub(crate) fn read_rows(bytes: &[u8]) -> Result<(Vec<f64>, usize)> {
    let array = Array::parse(bytes)?;
    let &[rows, width] = array.shape.as_slice() else {
        bail!(
            "the array has the shape {:?}, expected rows and columns",
            array.shape
        );
    };
    ensure!(
        after(array.header, "fortran_order")?.starts_with("False"),
        "the array is stored by columns\n    hint: np.save(file, np.ascontiguousarray(array))"
    );
    let count = rows
        .checked_mul(width)
        .context("the header claims more data than memory has addresses")?;
    Ok((array.numbers(count)?, width))
}

/// A file whose header has been read.
struct Array<'a> {
    header: &'a str,
    element: Element,
    order: Order,
    shape: Vec<usize>,
    data: &'a [u8],
}

impl<'a> Array<'a> {
    fn parse(bytes: &'a [u8]) -> Result<Self> {
        let rest = bytes
            .strip_prefix(b"\x93NUMPY")
            .context("not a NumPy file: its magic number is missing")?;
        let (header, data) = split_header(rest).context("the file ends inside its header")?;
        let header = std::str::from_utf8(header).context("the header is not text")?;
        let (element, order) = element(header)?;
        Ok(Self {
            shape: shape(header)?,
            header,
            element,
            order,
            data,
        })
    }

    /// All numbers, if there are so many and no more.
    fn numbers(&self, count: usize) -> Result<Vec<f64>> {
        let width = self.element.width();
        let expected = count
            .checked_mul(width)
            .context("the header claims more data than memory has addresses")?;
        ensure!(
            self.data.len() == expected,
            "the header promises {count} numbers of {width} bytes, {expected} bytes in all, but {} follow",
            self.data.len(),
        );
        Ok(self.element.decode(self.data, self.order))
    }
}

/// The header and what comes after it, given what comes after the magic number.
fn split_header(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (&[major, _minor], rest) = bytes.split_first_chunk()?;
    let (length, rest) = if major < 2 {
        let (length, rest) = rest.split_first_chunk()?;
        (usize::from(u16::from_le_bytes(*length)), rest)
    } else {
        let (length, rest) = rest.split_first_chunk()?;
        (usize::try_from(u32::from_le_bytes(*length)).ok()?, rest)
    };
    rest.split_at_checked(length)
}

/// What stands in the dictionary after a key.
fn after<'a>(header: &'a str, key: &str) -> Result<&'a str> {
    let quoted = [format!("'{key}'"), format!("\"{key}\"")];
    let value = quoted
        .iter()
        .find_map(|key| header.split_once(key.as_str()))
        .map(|(_, value)| value.trim_start());
    value
        .and_then(|value| value.strip_prefix(':'))
        .map(str::trim_start)
        .with_context(|| format!("the header has no `{key}`"))
}

fn element(header: &str) -> Result<(Element, Order)> {
    let descr = after(header, "descr")?;
    let quote = descr
        .chars()
        .next()
        .filter(|c| "'\"".contains(*c))
        .context("the array is a structure, expected plain numbers")?;
    let code = descr[1..].split(quote).next().unwrap_or_default();
    let order = if code.starts_with('>') {
        Order::Big
    } else {
        Order::Little
    };
    let element = match code.trim_start_matches(['<', '>', '|', '=']) {
        "f8" => Element::F64,
        "f4" => Element::F32,
        "f2" => Element::F16,
        "i8" => Element::I64,
        "i4" => Element::I32,
        "i2" => Element::I16,
        "i1" => Element::I8,
        "u8" => Element::U64,
        "u4" => Element::U32,
        "u2" => Element::U16,
        "u1" => Element::U8,
        _ => bail!(
            "the elements are `{code}`, expected floats (f2, f4, f8) or whole numbers (i1 … u8)"
        ),
    };
    Ok((element, order))
}

fn shape(header: &str) -> Result<Vec<usize>> {
    let inside = after(header, "shape")?
        .strip_prefix('(')
        .and_then(|shape| shape.split_once(')'))
        .map(|(inside, _)| inside);
    let lengths = inside
        .context("the header's `shape` is no tuple")?
        .split(',')
        .map(str::trim)
        .filter(|length| !length.is_empty());
    lengths
        .map(|length| {
            length
                .parse()
                .with_context(|| format!("the header's `shape` has the length `{length}`"))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(header: &str, data: &[u8]) -> Vec<u8> {
        let length = (header.len() as u16).to_le_bytes();
        [
            b"\x93NUMPY\x01\x00".as_slice(),
            &length,
            header.as_bytes(),
            data,
        ]
        .concat()
    }

    fn refused(bytes: &[u8]) -> String {
        format!("{:#}", read(bytes).unwrap_err())
    }

    #[test]
    fn either_byte_order_is_read() {
        let little = file(
            "{'descr': '<f4', 'fortran_order': False, 'shape': (1, 2), }\n",
            &[0, 0, 0, 63, 0, 0, 0, 63],
        );
        assert_eq!(read(&little).unwrap().numbers, [0.5, 0.5]);
        let big = file(
            "{'descr': '>i2', 'fortran_order': True, 'shape': (2,), }\n",
            &[0, 3, 1, 0],
        );
        assert_eq!(read(&big).unwrap().numbers, [3.0, 256.0]);
    }

    #[test]
    fn rows_are_read_one_after_the_other() {
        let of = |shape: &str, order: &str| {
            let header = format!("{{'descr': '|u1', 'fortran_order': {order}, 'shape': {shape}}}");
            read_rows(&file(&header, &[1, 2, 3, 4, 5, 6])).map_err(|e| format!("{e:#}"))
        };
        assert_eq!(
            of("(2, 3)", "False").unwrap(),
            (vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0], 3)
        );
        assert!(
            of("(6,)", "False")
                .unwrap_err()
                .contains("expected rows and columns")
        );
        assert!(
            of("(2, 4)", "False")
                .unwrap_err()
                .contains("promises 8 numbers")
        );
        assert!(
            of("(2, 3)", "True")
                .unwrap_err()
                .contains("stored by columns")
        );
        assert!(
            of("(18446744073709551615, 2)", "False")
                .unwrap_err()
                .contains("more data than memory has addresses")
        );
    }

    #[test]
    fn lying_headers_are_found_out() {
        let of = |shape: &str| {
            file(
                &format!("{{'descr': '<f8', 'fortran_order': False, 'shape': {shape}}}"),
                &[0; 16],
            )
        };
        assert!(read(&of("(2,)")).is_ok());
        assert!(
            refused(&of("(3,)"))
                .contains("promises 3 numbers of 8 bytes, 24 bytes in all, but 16 follow")
        );
        assert!(refused(&of("(1,)")).contains("but 16 follow"));
        assert!(
            refused(&of("(18446744073709551615,)")).contains("more data than memory has addresses")
        );
        assert!(refused(&of("(99999999999999999999999,)")).contains("has the length"));
        assert!(refused(&of("(-2,)")).contains("has the length `-2`"));
        assert!(refused(&of("(2, 2)")).contains("expected one row"));
        assert!(refused(&of("()")).contains("expected one row"));
        assert!(refused(&of("2")).contains("no tuple"));
        assert!(refused(&file("{'descr': '|O', 'shape': (1,)}", b"cos\nsystem")).contains("`|O`"));
        assert!(
            refused(&file("{'descr': [('a', '<f8')], 'shape': (1,)}", &[0; 8]))
                .contains("a structure")
        );
        assert!(refused(&file("{'descr': '", &[])).contains("``"));
        assert!(refused(&file("{}", &[])).contains("no `descr`"));
    }

    #[test]
    fn every_truncation_is_an_error() {
        let whole = file(
            "{'descr': '<f8', 'fortran_order': False, 'shape': (2,), }\n",
            &[0; 16],
        );
        for end in 0..whole.len() {
            assert!(read(&whole[..end]).is_err(), "cut at {end}");
        }
        let mut long = b"\x93NUMPY\x02\x00".to_vec();
        long.extend(u32::MAX.to_le_bytes());
        assert!(refused(&long).contains("ends inside its header"));
    }
}
