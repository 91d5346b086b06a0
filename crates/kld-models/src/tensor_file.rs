//! Files of tensors with a note: the safetensors format, written whole or not at all.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::fs::{self, File};
use std::path::Path;

use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, View};

use crate::{Error, Result};

/// The values of tensors by name, and the note that was written with them.
pub type Contents = (BTreeMap<String, Vec<f32>>, HashMap<String, String>);

/// How a file holds floating-point numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Float {
    /// IEEE single precision: what is computed with.
    #[default]
    F32,
    /// IEEE half precision: 11 significant bits, up to 65,504.
    F16,
    /// The upper half of `F32`: 8 significant bits, the same range.
    Bf16,
}

impl Float {
    /// The name that Transformers and `PyTorch` have for it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::F32 => "float32",
            Self::F16 => "float16",
            Self::Bf16 => "bfloat16",
        }
    }

    fn dtype(self) -> Dtype {
        match self {
            Self::F32 => Dtype::F32,
            Self::F16 => Dtype::F16,
            Self::Bf16 => Dtype::BF16,
        }
    }

    /// Bytes of each number.
    fn size(self) -> usize {
        match self {
            Self::F32 => 4,
            Self::F16 | Self::Bf16 => 2,
        }
    }

    fn bytes(self, values: &[f32]) -> Vec<u8> {
        match self {
            Self::F32 => values.iter().flat_map(|x| x.to_le_bytes()).collect(),
            Self::F16 => {
                let narrow = |&x: &f32| half::f16::from_f32(x).to_le_bytes();
                values.iter().flat_map(narrow).collect()
            }
            Self::Bf16 => {
                let narrow = |&x: &f32| half::bf16::from_f32(x).to_le_bytes();
                values.iter().flat_map(narrow).collect()
            }
        }
    }
}

/// Writes tensors, given as name, shape and values, and a note that stands in the header under a key.
///
/// # Errors
///
/// If the file cannot be written; what was there before is there still.
pub fn write<'a>(
    path: &Path,
    tensors: impl Iterator<Item = (&'a str, Vec<usize>, &'a [f32])>,
    note: (&str, String),
) -> Result<()> {
    write_as(path, Float::F32, tensors, note)
}

/// The same with each value rounded to the nearest that `float` can hold; what is beyond its range becomes infinite.
///
/// # Errors
///
/// If the file cannot be written; what was there before is there still.
pub fn write_as<'a>(
    path: &Path,
    float: Float,
    tensors: impl Iterator<Item = (&'a str, Vec<usize>, &'a [f32])>,
    (key, note): (&str, String),
) -> Result<()> {
    let values = |(name, shape, values)| {
        let values = Tensor {
            float,
            shape,
            values,
        };
        (name, values)
    };
    let tensors = tensors.map(values);
    let note = HashMap::from([(key.to_owned(), note)]);
    whole(path, |draft| {
        safetensors::serialize_to_file(tensors, Some(note), draft)
            .map_err(|e| Error::malformed(draft, format!("cannot be written: {e}")))
    })
}

/// Reads what [`write()`] has written.
///
/// # Errors
///
/// If the file cannot be read, is damaged, or has tensors that are not f32.
pub fn read(path: &Path) -> Result<Contents> {
    let bytes = fs::read(path).map_err(|e| Error::io(path, e))?;
    let unsound = |e: safetensors::SafeTensorError| {
        Error::malformed(path, format!("not a sound safetensors file: {e}"))
    };
    let tensors = SafeTensors::deserialize(&bytes).map_err(unsound)?;
    let (_, header) = SafeTensors::read_metadata(&bytes).map_err(unsound)?;
    let mut values = BTreeMap::new();
    for (name, view) in tensors.iter() {
        if view.dtype() != Dtype::F32 {
            return Err(Error::malformed(
                path,
                format!("tensor '{name}' is not F32"),
            ));
        }
        let numbers = view.data().as_chunks().0.iter();
        let numbers = numbers.map(|&bytes| f32::from_le_bytes(bytes)).collect();
        values.insert(name.to_owned(), numbers);
    }
    Ok((values, header.metadata().clone().unwrap_or_default()))
}

/// Lets `write` make a file beside its place, flushes it to the disk and renames it, so that it is there whole or not at all.
///
/// # Errors
///
/// If `write` fails, or the system does; what was there before is there still, and nothing else.
pub fn whole(path: &Path, write: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
    let mut draft = path.as_os_str().to_owned();
    draft.push(".part");
    let draft = Path::new(&draft);
    // The format's library makes files that nobody else may read; those of a model are to be as all others here.
    let usual = File::create(draft).and_then(|file| Ok(file.metadata()?.permissions()));
    let usual = usual.map_err(|e| Error::io(draft, e))?;
    let written = write(draft).and_then(|()| {
        File::open(draft)
            .and_then(|file| file.sync_all())
            .and_then(|()| fs::set_permissions(draft, usual))
            .and_then(|()| fs::rename(draft, path))
            .map_err(|e| Error::io(path, e))
    });
    if written.is_err() {
        // What is left of a failed attempt helps nobody; that it could not be removed is not the news.
        let _ = fs::remove_file(draft);
    }
    written
}

/// Text or bytes in a file, [`whole`].
///
/// # Errors
///
/// If it cannot be written.
pub fn write_file(path: &Path, text: impl AsRef<[u8]>) -> Result<()> {
    whole(path, |draft| {
        fs::write(draft, text).map_err(|e| Error::io(draft, e))
    })
}

/// Values of a shape, as the format's library wants to see them.
#[derive(Clone, Debug)]
struct Tensor<'a> {
    float: Float,
    shape: Vec<usize>,
    values: &'a [f32],
}

impl View for Tensor<'_> {
    fn dtype(&self) -> Dtype {
        self.float.dtype()
    }

    fn shape(&self) -> &[usize] {
        &self.shape
    }

    fn data(&self) -> Cow<'_, [u8]> {
        self.float.bytes(self.values).into()
    }

    fn data_len(&self) -> usize {
        self.float.size() * self.values.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(unix)]
    #[test]
    fn whoever_may_read_other_new_files_may_read_weights() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let mode = |name: &str| {
            let metadata = fs::metadata(folder.path().join(name)).unwrap();
            metadata.permissions().mode()
        };
        fs::write(folder.path().join("other"), "").unwrap();
        let weights = [("a", vec![1], &[1.0_f32][..])];
        let path = folder.path().join("weights");
        write(&path, weights.into_iter(), ("format", "pt".to_owned())).unwrap();
        assert_eq!(mode("weights"), mode("other"));
    }

    #[test]
    fn what_is_written_is_read_and_damage_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("t.safetensors");
        let (a, b) = (vec![1.0, f32::MIN_POSITIVE], vec![-0.5; 6]);
        let tensors = [("a", vec![2], &a[..]), ("b", vec![2, 3], &b[..])];
        let note = HashMap::from([("step".to_owned(), "7".to_owned())]);
        write(&path, tensors.into_iter(), ("step", "7".to_owned())).unwrap();
        let (values, found) = read(&path).unwrap();
        assert_eq!((&values["a"], &values["b"], found), (&a, &b, note));
        let bytes = fs::read(&path).unwrap();
        for length in [0, 7, 40, bytes.len() - 1] {
            fs::write(&path, &bytes[..length]).unwrap();
            assert!(read(&path).is_err(), "{length}");
        }
    }
}
