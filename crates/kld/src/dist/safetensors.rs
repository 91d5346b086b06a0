//! One tensor out of a `.safetensors` file.

use anyhow::{Context as _, Result, bail, ensure};
use safetensors::{Dtype, SafeTensors};

use super::{
    elements::{Element, Order, row_length},
    table::Table,
};

/// Reads the tensor called `name`, or the only one there is.
///
/// # Errors
///
/// If the file is damaged, the tensor cannot be chosen, or it is not one row of numbers.
pub(crate) fn read(bytes: &[u8], name: Option<&str>) -> Result<Table> {
    let file = SafeTensors::deserialize(bytes).context("not a sound safetensors file")?;
    let tensor = if let Some(name) = name {
        file.tensor(name)
            .with_context(|| format!("there is no tensor `{name}`; there is {}", listed(&file)))?
    } else {
        let (count, names) = (file.len(), listed(&file));
        ensure!(
            count == 1,
            "the file has {count} tensors, expected one\n    hint: add a name, file.safetensors#NAME; there is {names}"
        );
        file.tensor(file.names()[0])?
    };
    let length = row_length(tensor.shape());
    ensure!(
        length.is_some(),
        "the tensor has the shape {:?}, expected one row of numbers",
        tensor.shape()
    );
    let element = element(tensor.dtype())?;
    Ok(Table::unnamed(
        element.decode(tensor.data(), Order::Little),
        element.precision(),
    ))
}

fn element(stored: Dtype) -> Result<Element> {
    Ok(match stored {
        Dtype::F64 => Element::F64,
        Dtype::F32 => Element::F32,
        Dtype::F16 => Element::F16,
        Dtype::BF16 => Element::Bf16,
        Dtype::I64 => Element::I64,
        Dtype::I32 => Element::I32,
        Dtype::I16 => Element::I16,
        Dtype::I8 => Element::I8,
        Dtype::U64 => Element::U64,
        Dtype::U32 => Element::U32,
        Dtype::U16 => Element::U16,
        Dtype::U8 => Element::U8,
        other => bail!("the elements are {other:?}, expected F64, F32, F16, BF16 or whole numbers"),
    })
}

/// The first few names, for messages.
fn listed(file: &SafeTensors) -> String {
    let mut names: Vec<_> = file
        .names()
        .into_iter()
        .map(|name| format!("`{name}`"))
        .collect();
    names.sort();
    let more = names.len().saturating_sub(5);
    names.truncate(5);
    match (names.is_empty(), more) {
        (true, _) => "none".to_owned(),
        (false, 0) => names.join(", "),
        (false, more) => format!("{} and {more} more", names.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use safetensors::tensor::TensorView;

    use super::*;

    fn refused(bytes: &[u8], name: Option<&str>) -> String {
        format!("{:#}", read(bytes, name).unwrap_err())
    }

    fn two_tensors() -> Vec<u8> {
        let halves = [0.5_f32, 0.5].map(f32::to_le_bytes).concat();
        let row = TensorView::new(Dtype::F32, vec![1, 2], &halves).unwrap();
        let matrix = TensorView::new(Dtype::U8, vec![2, 2], &[1, 2, 3, 4]).unwrap();
        safetensors::serialize([("row", row), ("matrix", matrix)], None).unwrap()
    }

    #[test]
    fn a_tensor_is_chosen_by_name() {
        let file = two_tensors();
        assert_eq!(read(&file, Some("row")).unwrap().numbers, [0.5, 0.5]);
        assert!(refused(&file, None).contains("has 2 tensors"));
        assert!(refused(&file, None).contains("there is `matrix`, `row`"));
        assert!(refused(&file, Some("col")).contains("no tensor `col`"));
        assert!(refused(&file, Some("matrix")).contains("the shape [2, 2], expected one row"));
    }

    #[test]
    fn every_truncation_and_every_lie_is_an_error() {
        let file = two_tensors();
        for end in 0..file.len() {
            assert!(read(&file[..end], Some("row")).is_err(), "cut at {end}");
        }
        let header = br#"{"a":{"dtype":"F64","shape":[99999999999],"data_offsets":[0,8]}}"#;
        let lying = [&(header.len() as u64).to_le_bytes()[..], header, &[0; 8]].concat();
        assert!(refused(&lying, None).contains("not a sound safetensors file"));
        assert!(refused(&u64::MAX.to_le_bytes(), None).contains("not a sound safetensors file"));
    }
}
