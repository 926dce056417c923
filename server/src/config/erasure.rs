//! Data and parity columns, as in `4+2`.

use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Data and parity columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Geometry {
    /// Data columns.
    pub k: u8,
    /// Parity columns.
    pub m: u8,
}

/// The geometries that are offered.
const GEOMETRIES: [(u8, u8); 7] = [(1, 0), (1, 1), (2, 1), (2, 2), (4, 2), (8, 3), (8, 4)];

impl FromStr for Geometry {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        text.split_once('+')
            .and_then(|(k, m)| Some((k.parse().ok()?, m.parse().ok()?)))
            .filter(|pair| GEOMETRIES.contains(pair))
            .map(|(k, m)| Self { k, m })
            .ok_or_else(|| format!("'{text}' is not one of 1+0, 1+1, 2+1, 2+2, 4+2, 8+3, 8+4"))
    }
}

impl std::fmt::Display for Geometry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}+{}", self.k, self.m)
    }
}

impl Serialize for Geometry {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Geometry {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}
