//! Files of f32 tensors with a note: the safetensors format, written whole or not at all.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::fs::{self, File};
use std::path::Path;

use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, View};

use crate::{Error, Result};

/// The values of tensors by name, and the note that was written with them.
pub type Contents = (BTreeMap<String, Vec<f32>>, HashMap<String, String>);

/// Writes tensors, given as name, shape and values, and a note that stands in the header under a key.
///
/// # Errors
///
/// If the file cannot be written; what was there before is there still.
pub fn write<'a>(
    path: &Path,
    tensors: impl Iterator<Item = (&'a str, Vec<usize>, &'a [f32])>,
    (key, note): (&str, String),
) -> Result<()> {
    let tensors = tensors.map(|(name, shape, values)| (name, Values { shape, values }));
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

/// f32 values of a shape, as the format's library wants to see them.
#[derive(Clone, Debug)]
struct Values<'a> {
    shape: Vec<usize>,
    values: &'a [f32],
}

impl View for Values<'_> {
    fn dtype(&self) -> Dtype {
        Dtype::F32
    }

    fn shape(&self) -> &[usize] {
        &self.shape
    }

    fn data(&self) -> Cow<'_, [u8]> {
        let bytes = self.values.iter().flat_map(|value| value.to_le_bytes());
        bytes.collect::<Vec<u8>>().into()
    }

    fn data_len(&self) -> usize {
        4 * self.values.len()
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
