//! As much of protocol buffers as event files need: fields of a message, one after the other.

/// What a field holds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Field<'a> {
    /// A whole number of variable length.
    Whole(u64),
    /// Eight bytes.
    Eight([u8; 8]),
    /// Four bytes.
    Four([u8; 4]),
    /// Text, bytes, another message, or packed numbers.
    Bytes(&'a [u8]),
}

/// The fields of a message; `None` ends one that is damaged.
#[derive(Clone, Debug)]
pub(crate) struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    pub(crate) fn of(message: &'a [u8]) -> Self {
        Self(message)
    }

    /// The next field and its number; an error where the message breaks off or holds what no writer writes.
    pub(crate) fn next_field(&mut self) -> Result<Option<(u64, Field<'a>)>, &'static str> {
        if self.0.is_empty() {
            return Ok(None);
        }
        let key = self.varint()?;
        let field = match key & 7 {
            0 => Field::Whole(self.varint()?),
            1 => Field::Eight(self.array()?),
            2 => {
                let length = usize::try_from(self.varint()?).map_err(|_| BROKEN)?;
                Field::Bytes(self.take(length)?)
            }
            5 => Field::Four(self.array()?),
            _ => return Err("a field of unknown kind"),
        };
        Ok(Some((key >> 3, field)))
    }

    pub(crate) fn varint(&mut self) -> Result<u64, &'static str> {
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let [byte] = self.array()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err("a number of more than 64 bits")
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], &'static str> {
        let bytes = self.take(N)?;
        bytes.try_into().map_err(|_| BROKEN)
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], &'static str> {
        let (taken, rest) = self.0.split_at_checked(length).ok_or(BROKEN)?;
        self.0 = rest;
        Ok(taken)
    }
}

const BROKEN: &str = "a message that breaks off";

/// Appends a whole number.
pub(crate) fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Appends the field `number`.
pub(crate) fn put(out: &mut Vec<u8>, number: u64, field: Field) {
    let kind = match field {
        Field::Whole(_) => 0,
        Field::Eight(_) => 1,
        Field::Bytes(_) => 2,
        Field::Four(_) => 5,
    };
    put_varint(out, number << 3 | kind);
    match field {
        Field::Whole(value) => put_varint(out, value),
        Field::Eight(bytes) => out.extend(bytes),
        Field::Four(bytes) => out.extend(bytes),
        Field::Bytes(bytes) => {
            put_varint(out, bytes.len() as u64);
            out.extend(bytes);
        }
    }
}
