//! Signed notes, C2SP signed-note v1.0.0, with Ed25519 (signature type 0x01).
//!
//! ```text
//! text\n … text\n \n  — name base64(key id ‖ signature)\n …
//! ```

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::error::JournalError;
use crate::primitives::{SigningKey, ed25519_verifies, sha256};

/// Longest note: a checkpoint with a hundred post-quantum cosignatures fits.
pub const NOTE_LEN_MAX: usize = 1 << 20;

/// Most signatures that a note may carry; the specification asks for at least 16.
pub const SIGNATURES_MAX: usize = 100;

const TYPE_ED25519: u8 = 0x01;
const SIGNATURE_PREFIX: &str = "\u{2014} ";

/// A key that signs notes under a name. It has no `Debug` and no `Clone`.
pub struct Signer {
    name: String,
    key: SigningKey,
}

impl Signer {
    /// The key of a 32-byte random seed. A name is not empty and has no space, control or plus.
    ///
    /// Draw the seed at random, one per log and purpose; never derive it.
    ///
    /// # Errors
    /// [`JournalError::Malformed`] for the name.
    pub fn new(name: &str, seed: &[u8; 32]) -> Result<Self, JournalError> {
        check_name(name)?;
        Ok(Self { name: name.to_owned(), key: SigningKey::from_seed(seed) })
    }

    /// Its name; for a log, its origin.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its public half.
    pub fn verifier(&self) -> Verifier {
        Verifier::new(self.name.clone(), self.key.public())
    }

    /// The text of its public half: `name+key id+base64(type ‖ key)`.
    pub fn vkey(&self) -> String {
        self.verifier().vkey()
    }
}

/// A known key that notes are checked against.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verifier {
    name: String,
    key_id: [u8; 4],
    public: [u8; 32],
}

impl Verifier {
    fn new(name: String, public: [u8; 32]) -> Self {
        let digest = sha256(&[name.as_bytes(), b"\n", &[TYPE_ED25519], &public]);
        Self { name, key_id: [digest[0], digest[1], digest[2], digest[3]], public }
    }

    /// Reads a verifier key of one line, without its end of line. Only the one right spelling.
    ///
    /// # Errors
    /// [`JournalError::Malformed`].
    pub fn from_vkey(vkey: &str) -> Result<Self, JournalError> {
        let malformed = |why| JournalError::malformed("verifier key", why);
        let mut fields = vkey.splitn(3, '+');
        let (Some(name), Some(key_id), Some(key)) = (fields.next(), fields.next(), fields.next()) else {
            return Err(malformed("not name+id+key"));
        };
        check_name(name)?;
        let key = STANDARD.decode(key).map_err(|_| malformed("the key is not base64"))?;
        let public = match key.split_first() {
            Some((&TYPE_ED25519, public)) => public.try_into().map_err(|_| malformed("the key has not 32 bytes"))?,
            _ => return Err(malformed("the key is not of type Ed25519")),
        };
        let verifier = Self::new(name.to_owned(), public);
        if verifier.key_id_hex() == key_id { Ok(verifier) } else { Err(malformed("the id is not that of the key")) }
    }

    /// The text of [`Verifier::from_vkey`].
    pub fn vkey(&self) -> String {
        let key = [&[TYPE_ED25519], self.public.as_slice()].concat();
        format!("{}+{}+{}", self.name, self.key_id_hex(), STANDARD.encode(key))
    }

    /// Its name; for a log, its origin.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// First four bytes of the hash of name, type and key: tells keys apart, authenticates nothing.
    pub fn key_id(&self) -> [u8; 4] {
        self.key_id
    }

    /// The key id as 8 lower-case hexadecimal digits.
    pub fn key_id_hex(&self) -> String {
        format!("{:08x}", u32::from_be_bytes(self.key_id))
    }
}

/// A note whose signatures were checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// The signed text, its last newline included.
    pub text: String,
    /// Known keys that signed it, in the order of their lines, at least one.
    pub signed_by: Vec<NoteSignature>,
    /// Signatures by unknown keys: ignored, prove nothing.
    pub unknown: Vec<NoteSignature>,
}

/// Which key a signature line names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoteSignature {
    /// The key's name.
    pub name: String,
    /// The key's id.
    pub key_id: [u8; 4],
}

/// Signs a text. The note is deterministic: the same text and keys give the same bytes.
///
/// # Errors
/// [`JournalError::Malformed`] unless the text is not empty, ends in a newline and has no other control
/// character.
pub fn sign_note(text: &str, signers: &[&Signer]) -> Result<String, JournalError> {
    check_text(text)?;
    if !text.ends_with('\n') || signers.is_empty() {
        return Err(JournalError::malformed("note", "its text does not end in a newline, or nobody signs it"));
    }
    let mut note = format!("{text}\n");
    for signer in signers {
        let signature = signer.key.sign(text.as_bytes());
        let bytes = [signer.verifier().key_id.as_slice(), &signature].concat();
        note.push_str(&format!("{SIGNATURE_PREFIX}{} {}\n", signer.name, STANDARD.encode(bytes)));
    }
    Ok(note)
}

/// Checks a note against the known keys.
///
/// Signatures by unknown keys are ignored. At least one known key must have signed, and every signature
/// that names a known key must verify.
///
/// # Errors
/// [`JournalError::Malformed`], [`JournalError::BadSignature`], [`JournalError::NotSigned`].
pub fn open_note(note: &str, known: &[&Verifier]) -> Result<Note, JournalError> {
    let malformed = |why| JournalError::malformed("note", why);
    check_text(note)?;
    // The last empty line parts the text from the signatures.
    let split = note.rfind("\n\n").ok_or_else(|| malformed("no empty line before the signatures"))?;
    let (text, lines) = (&note[..=split], &note[split + 2..]);
    let lines = lines.strip_suffix('\n').ok_or_else(|| malformed("no newline after the last signature"))?;
    let mut opened = Note { text: text.to_owned(), signed_by: Vec::new(), unknown: Vec::new() };
    for (count, line) in lines.split('\n').enumerate() {
        if count == SIGNATURES_MAX {
            return Err(malformed("more than 100 signatures"));
        }
        let (line, signature) = parse_signature(line)?;
        match known.iter().find(|key| key.name == line.name && key.key_id == line.key_id) {
            None => opened.unknown.push(line),
            Some(key) if !ed25519_verifies(&key.public, text.as_bytes(), &signature) => {
                return Err(JournalError::BadSignature { name: line.name });
            }
            Some(_) => opened.signed_by.push(line),
        }
    }
    if opened.signed_by.is_empty() {
        let name = known.first().map_or_else(String::new, |key| key.name.clone());
        return Err(JournalError::NotSigned { name });
    }
    Ok(opened)
}

fn parse_signature(line: &str) -> Result<(NoteSignature, Vec<u8>), JournalError> {
    let malformed = |why| JournalError::malformed("note signature", why);
    let line = line.strip_prefix(SIGNATURE_PREFIX).ok_or_else(|| malformed("no em dash at its start"))?;
    let (name, signature) = line.split_once(' ').ok_or_else(|| malformed("no space after the name"))?;
    check_name(name)?;
    let bytes = STANDARD.decode(signature).map_err(|_| malformed("not base64"))?;
    match bytes.split_first_chunk::<4>() {
        Some((key_id, signature)) if !signature.is_empty() => {
            Ok((NoteSignature { name: name.to_owned(), key_id: *key_id }, signature.to_vec()))
        }
        _ => Err(malformed("shorter than a key id and a signature")),
    }
}

/// Whether it may be the name of a key.
pub(crate) fn is_name(name: &str) -> bool {
    !name.is_empty() && !name.contains(|c: char| c.is_whitespace() || c.is_control() || c == '+')
}

fn check_name(name: &str) -> Result<(), JournalError> {
    if is_name(name) {
        Ok(())
    } else {
        Err(JournalError::malformed("key name", "empty, or with a space, control or plus"))
    }
}

fn check_text(text: &str) -> Result<(), JournalError> {
    if text.len() > NOTE_LEN_MAX {
        return Err(JournalError::malformed("note", "over 1 MiB"));
    }
    if text.contains(|c: char| c < ' ' && c != '\n') {
        return Err(JournalError::malformed("note", "a control character other than newline"));
    }
    Ok(())
}
