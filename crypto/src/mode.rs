//! Who holds the root key of an object.

/// Encryption mode, one ASCII letter on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Mode {
    /// The client sends its key with each request (SSE-C).
    C = b'C',
    /// The client's key service wraps.
    H = b'H',
    /// A gateway at the client's site seals; the server sees neither key nor plaintext.
    G = b'G',
    /// An operator key, for data of low sensitivity.
    O = b'O',
}

/// The byte names no mode: damaged storage, or written by a newer version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("unknown encryption mode")]
pub struct UnknownMode;

impl Mode {
    /// The byte on disk.
    pub const fn as_byte(self) -> u8 {
        self as u8
    }
}

impl From<Mode> for u8 {
    fn from(mode: Mode) -> Self {
        mode.as_byte()
    }
}

impl TryFrom<u8> for Mode {
    type Error = UnknownMode;

    fn try_from(byte: u8) -> Result<Self, UnknownMode> {
        match byte {
            b'C' => Ok(Self::C),
            b'H' => Ok(Self::H),
            b'G' => Ok(Self::G),
            b'O' => Ok(Self::O),
            _ => Err(UnknownMode),
        }
    }
}
