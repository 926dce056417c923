//! Opens an export with its root key: no server, no store.

use std::io::{Read, Write};

use zeroize::Zeroizing;

use crate::error::OpenError;
use crate::export::{Export, ExportError};
use crate::header::{HEADER_LEN, PartHeader};
use crate::keys::{ClientKey, ObjectKey, OperatorKey};
use crate::manifest::ManifestPart;
use crate::mode::Mode;
use crate::part::{ChunkIndex, LastChunk, PartOpener};
use crate::primitives::TAG_LEN;
use crate::range::{CHUNK_PLAIN, CHUNK_SEALED};
use crate::sealed_box::METADATA_LABEL;
use crate::wrap::{RootKey, unwrap};

/// What was opened beside the plaintext.
pub struct Unsealed {
    /// The front of the export.
    pub export: Export,
    /// User metadata, content headers and checksums, in the server's encoding.
    pub metadata: Zeroizing<Vec<u8>>,
}

/// Writes the plaintext of the export `input` to `output`.
///
/// `root_key` is the raw key: the client's in mode C, the operator's in mode O. Wrap and manifest
/// are checked before the first byte, each chunk before its bytes are written. The plaintext is
/// whole only once this returns `Ok`.
///
/// # Errors
/// [`ExportError`]: what did not open, or which side failed.
pub fn unseal(mut input: impl Read, root_key: &[u8], mut output: impl Write) -> Result<Unsealed, ExportError> {
    let export = Export::read(&mut input)?;
    let object_key = open_wrap(&export, root_key)?;
    object_key.manifest_key().verify(&export.manifest(), &export.manifest_mac).map_err(|_| ExportError::Manifest)?;
    let metadata =
        object_key.metadata_key().open(METADATA_LABEL, &export.sealed_metadata).map_err(|_| ExportError::Manifest)?;
    for part in &export.parts {
        unseal_part(&object_key, &export, part, &mut input, &mut output)?;
    }
    output.flush().map_err(ExportError::Write)?;
    if input.read(&mut [0])? != 0 {
        return Err(ExportError::Trailing);
    }
    Ok(Unsealed { export, metadata })
}

fn open_wrap(export: &Export, root_key: &[u8]) -> Result<ObjectKey, ExportError> {
    let context = export.wrap_context();
    let record = &export.wrap_record;
    let opened = match export.mode {
        Mode::C => {
            let key = ClientKey::from_slice(root_key).map_err(|_| ExportError::KeyLength)?;
            unwrap(RootKey::Client(&key), record, &context)
        }
        Mode::O => {
            let key = OperatorKey::from_slice(root_key).map_err(|_| ExportError::KeyLength)?;
            unwrap(RootKey::Operator(&key), record, &context)
        }
        Mode::H | Mode::G => return Err(ExportError::RootKeyElsewhere),
    };
    opened.map_err(ExportError::Unwrap)
}

fn unseal_part(
    object_key: &ObjectKey,
    export: &Export,
    part: &ManifestPart,
    input: &mut impl Read,
    output: &mut impl Write,
) -> Result<(), ExportError> {
    let refuse = |source| ExportError::Part { number: part.number, source };
    let expected = PartHeader {
        mode: export.mode,
        object_uuid: export.object_uuid,
        part_number: part.number,
        salt: part.salt,
        commitment: part.commitment,
    };
    let mut header = [0; HEADER_LEN];
    input.read_exact(&mut header)?;
    if PartHeader::decode(&header)? != expected {
        return Err(refuse(OpenError::AuthenticationFailed));
    }
    let opener = PartOpener::new(object_key, &expected).map_err(refuse)?;

    let mut chunk = Zeroizing::new(vec![0; CHUNK_SEALED]);
    let last_chunk = part.plain_len / CHUNK_PLAIN as u64;
    for index in 0..=last_chunk {
        let (last, len) = if index == last_chunk {
            let plain = (part.plain_len % CHUNK_PLAIN as u64) as usize;
            (LastChunk::Yes, plain + TAG_LEN)
        } else {
            (LastChunk::No, CHUNK_SEALED)
        };
        let chunk = &mut chunk[..len];
        input.read_exact(chunk)?;
        let plain_len = opener.open_chunk_in_place(ChunkIndex(index), last, chunk).map_err(refuse)?;
        output.write_all(&chunk[..plain_len]).map_err(ExportError::Write)?;
    }
    Ok(())
}
