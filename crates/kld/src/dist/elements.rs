//! Numbers stored in binary: element types, their width, and how their bytes become `f64`.

use super::table::Precision;

/// The type of the elements of a stored array.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Element {
    F64,
    F32,
    F16,
    Bf16,
    I64,
    I32,
    I16,
    I8,
    U64,
    U32,
    U16,
    U8,
}

/// The order of the bytes of an element.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    Little,
    Big,
}

impl Element {
    /// Bytes of one element.
    pub(crate) fn width(self) -> usize {
        match self {
            Self::F64 | Self::I64 | Self::U64 => 8,
            Self::F32 | Self::I32 | Self::U32 => 4,
            Self::F16 | Self::Bf16 | Self::I16 | Self::U16 => 2,
            Self::I8 | Self::U8 => 1,
        }
    }

    /// How exact its values are.
    pub(crate) fn precision(self) -> Precision {
        match self {
            Self::F32 => Precision::Single,
            Self::F16 => Precision::Half,
            Self::Bf16 => Precision::Brain,
            _ => Precision::Double,
        }
    }

    /// The numbers stored in `bytes`; an incomplete element at the end is not read.
    pub(crate) fn decode(self, bytes: &[u8], order: Order) -> Vec<f64> {
        match self {
            Self::F64 => numbers(bytes, order, f64::from_le_bytes),
            Self::F32 => numbers(bytes, order, |b| f64::from(f32::from_le_bytes(b))),
            Self::F16 => numbers(bytes, order, |b| half::f16::from_le_bytes(b).to_f64()),
            Self::Bf16 => numbers(bytes, order, |b| half::bf16::from_le_bytes(b).to_f64()),
            Self::I64 => numbers(bytes, order, |b| i64::from_le_bytes(b) as f64),
            Self::I32 => numbers(bytes, order, |b| f64::from(i32::from_le_bytes(b))),
            Self::I16 => numbers(bytes, order, |b| f64::from(i16::from_le_bytes(b))),
            Self::I8 => numbers(bytes, order, |b| f64::from(i8::from_le_bytes(b))),
            Self::U64 => numbers(bytes, order, |b| u64::from_le_bytes(b) as f64),
            Self::U32 => numbers(bytes, order, |b| f64::from(u32::from_le_bytes(b))),
            Self::U16 => numbers(bytes, order, |b| f64::from(u16::from_le_bytes(b))),
            Self::U8 => numbers(bytes, order, |b| f64::from(u8::from_le_bytes(b))),
        }
    }
}

fn numbers<const N: usize>(
    bytes: &[u8],
    order: Order,
    from_little: impl Fn([u8; N]) -> f64,
) -> Vec<f64> {
    let little = |mut element: [u8; N]| {
        if order == Order::Big {
            element.reverse();
        }
        from_little(element)
    };
    bytes.as_chunks().0.iter().copied().map(little).collect()
}

/// The number of elements of an array that holds one row of numbers, whatever dimensions of 1 surround it.
///
/// `None` if it has more than one row, or more elements than memory has addresses.
pub(crate) fn row_length(shape: &[usize]) -> Option<usize> {
    let mut long = shape.iter().filter(|&&length| length != 1);
    let length = long.next().copied().unwrap_or(1);
    (long.next().is_none() && !shape.is_empty()).then_some(length)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_become_numbers_in_either_order() {
        assert_eq!(
            Element::I16.decode(&[1, 0, 255, 255], Order::Little),
            [1.0, -1.0]
        );
        assert_eq!(
            Element::I16.decode(&[0, 1, 255, 255], Order::Big),
            [1.0, -1.0]
        );
        assert_eq!(Element::F16.decode(&[0x00, 0x38], Order::Little), [0.5]);
        assert_eq!(Element::Bf16.decode(&[0x00, 0x3f], Order::Little), [0.5]);
        assert_eq!(
            Element::F64.decode(&0.1_f64.to_be_bytes(), Order::Big),
            [0.1]
        );
    }

    #[test]
    fn a_row_may_be_wrapped_in_dimensions_of_one() {
        assert_eq!(row_length(&[1, 7]), Some(7));
        assert_eq!(row_length(&[1, 1]), Some(1));
        assert_eq!(row_length(&[0]), Some(0));
        assert_eq!(row_length(&[2, 7]), None);
        assert_eq!(row_length(&[]), None);
    }
}
