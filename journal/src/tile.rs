//! Names and contents of tiles, C2SP tlog-tiles v0.1.0.
//!
//! A tile is 256 consecutive hashes of level 8·L of the tree, or fewer at its right edge; an entry
//! bundle is the leaves under a tile of level 0.

use std::fmt;

use crate::error::JournalError;
use crate::stored::{HashReader, TREE_SIZE_MAX, read_exactly, stored_hash_index};

/// Hashes in a full tile, entries in a full bundle.
pub const TILE_WIDTH: u16 = 256;

/// Tile levels that a tree of at most [`TREE_SIZE_MAX`] leaves can have.
const LEVELS: u8 = 8;

/// Longest tile path we parse: `tile/entries/` and 7 groups with room to spare.
const PATH_LEN_MAX: usize = 64;

/// What a tile holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TileKind {
    /// Hashes of the tile level (0 to 7).
    Hashes(u8),
    /// The leaves themselves.
    Entries,
}

/// The name of one tile or entry bundle.
///
/// Promises: the level is 0..=7, the width 1..=256, and all it names lies within a tree of at most
/// [`TREE_SIZE_MAX`] leaves. Its text is `tile/<L>/<N>[.p/<W>]` or `tile/entries/<N>[.p/<W>]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TilePath {
    kind: TileKind,
    n: u64,
    width: u16,
}

impl TilePath {
    /// The `n`-th tile of a level, `width` hashes wide. `None` outside the limits above.
    pub fn hashes(level: u8, n: u64, width: u16) -> Option<Self> {
        Self::checked(TileKind::Hashes(level), n, width)
    }

    /// The `n`-th entry bundle, `width` entries wide. `None` outside the limits above.
    pub fn entries(n: u64, width: u16) -> Option<Self> {
        Self::checked(TileKind::Entries, n, width)
    }

    fn checked(kind: TileKind, n: u64, width: u16) -> Option<Self> {
        let path = Self { kind, n, width };
        let in_limits = (1..=TILE_WIDTH).contains(&width) && path.level() < LEVELS;
        let end = n.checked_mul(u64::from(TILE_WIDTH))?.checked_add(u64::from(width))?;
        (in_limits && end <= TREE_SIZE_MAX >> (8 * path.level())).then_some(path)
    }

    /// Parses a path as clients send it, without a leading slash. Only the one right spelling.
    ///
    /// # Errors
    /// [`JournalError::Malformed`].
    pub fn parse(path: &str) -> Result<Self, JournalError> {
        let malformed = || JournalError::malformed("tile path", "not tile/<L>/<N>[.p/<W>]");
        if path.len() > PATH_LEN_MAX {
            return Err(malformed());
        }
        let rest = path.strip_prefix("tile/").ok_or_else(malformed)?;
        let (level, rest) = rest.split_once('/').ok_or_else(malformed)?;
        let kind = match level {
            "entries" => TileKind::Entries,
            level => TileKind::Hashes(level.parse().map_err(|_| malformed())?),
        };
        let (groups, width) = match rest.split_once(".p/") {
            Some((groups, width)) => (groups, width.parse().map_err(|_| malformed())?),
            None => (rest, TILE_WIDTH),
        };
        let mut n = 0_u64;
        for group in groups.split('/') {
            let digits = group.strip_prefix('x').unwrap_or(group);
            let group: u64 = digits.parse().map_err(|_| malformed())?;
            n = n.checked_mul(1000).and_then(|n| n.checked_add(group)).ok_or_else(malformed)?;
        }
        let parsed = Self::checked(kind, n, width).ok_or_else(malformed)?;
        // One spelling: what does not come back to the letter is refused (`+1`, `001/002`, `.p/256`).
        if parsed.path() == path { Ok(parsed) } else { Err(malformed()) }
    }

    /// The path, without a leading slash.
    pub fn path(&self) -> String {
        self.to_string()
    }

    /// What it holds.
    pub fn kind(&self) -> TileKind {
        self.kind
    }

    /// Its number within the level.
    pub fn n(&self) -> u64 {
        self.n
    }

    /// How many hashes or entries it holds, 1 to 256.
    pub fn width(&self) -> u16 {
        self.width
    }

    /// First hash of its level, or first leaf, that it holds.
    pub fn first(&self) -> u64 {
        self.n * u64::from(TILE_WIDTH)
    }

    /// Whether a tree of `size` leaves has all that it holds. A server answers exactly these.
    pub fn is_available(&self, size: u64) -> bool {
        self.first() + u64::from(self.width) <= self.count_at_level(size)
    }

    /// Whether it is one of the tiles that make up the tree of `size` leaves: full ones, and at the
    /// right edge the partial one of the exact width.
    pub fn belongs_to(&self, size: u64) -> bool {
        let edge = self.count_at_level(size);
        self.is_available(size) && (self.width == TILE_WIDTH || self.first() + u64::from(self.width) == edge)
    }

    fn level(&self) -> u8 {
        match self.kind {
            TileKind::Hashes(level) => level,
            TileKind::Entries => 0,
        }
    }

    fn count_at_level(&self, size: u64) -> u64 {
        size >> (8 * self.level())
    }
}

impl fmt::Display for TilePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            TileKind::Hashes(level) => write!(f, "tile/{level}/")?,
            TileKind::Entries => f.write_str("tile/entries/")?,
        }
        let mut groups = vec![format!("{:03}", self.n % 1000)];
        let mut rest = self.n / 1000;
        while rest > 0 {
            groups.push(format!("x{:03}", rest % 1000));
            rest /= 1000;
        }
        groups.reverse();
        f.write_str(&groups.join("/"))?;
        if self.width < TILE_WIDTH {
            write!(f, ".p/{}", self.width)?;
        }
        Ok(())
    }
}

/// Every tile and bundle of the tree of `size` leaves: what an export holds beside the checkpoint.
///
/// Entry bundles first, then the tiles by level. Lazy: a million leaves make about 8,000 paths.
///
/// # Panics
/// If `size` is over [`TREE_SIZE_MAX`]; no [`Checkpoint`](crate::Checkpoint) holds such a size.
pub fn tree_paths(size: u64) -> impl Iterator<Item = TilePath> {
    assert!(size <= TREE_SIZE_MAX, "a tree holds at most TREE_SIZE_MAX leaves");
    let kinds = std::iter::once(TileKind::Entries).chain((0..LEVELS).map(TileKind::Hashes));
    kinds.flat_map(move |kind| {
        let level = if let TileKind::Hashes(level) = kind { level } else { 0 };
        let count = size >> (8 * level);
        (0..count.div_ceil(u64::from(TILE_WIDTH))).map(move |n| {
            let width = (count - n * u64::from(TILE_WIDTH)).min(u64::from(TILE_WIDTH));
            TilePath { kind, n, width: u16::try_from(width).expect("at most 256") }
        })
    })
}

/// Bytes of a tile of hashes: its hashes one after the other, 32 to 8192 bytes.
///
/// # Errors
/// The reader's; [`JournalError::Malformed`] for an entry bundle, see
/// [`bundle_contents`](crate::bundle_contents).
pub fn tile_contents(path: &TilePath, reader: &impl HashReader) -> Result<Vec<u8>, JournalError> {
    let TileKind::Hashes(level) = path.kind else {
        return Err(JournalError::malformed("tile path", "an entry bundle holds no hashes"));
    };
    let hashes = path.first()..path.first() + u64::from(path.width);
    let indexes: Vec<u64> = hashes.map(|n| stored_hash_index(8 * level, n)).collect();
    Ok(read_exactly(reader, &indexes)?.iter().flat_map(|hash| hash.to_bytes()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_those_of_the_specification() {
        let path = |level, n, width| TilePath::hashes(level, n, width).unwrap().path();
        assert_eq!(path(0, 1_234_067, 256), "tile/0/x001/x234/067");
        assert_eq!(path(1, 256, 256), "tile/1/256");
        assert_eq!(path(2, 0, 1), "tile/2/000.p/1");
        assert_eq!(TilePath::entries(1000, 17).unwrap().path(), "tile/entries/x001/000.p/17");
    }

    #[test]
    fn one_spelling_only() {
        for good in ["tile/0/000", "tile/7/000.p/16", "tile/entries/x001/x234/067", "tile/entries/999.p/1"] {
            assert_eq!(TilePath::parse(good).unwrap().path(), good);
        }
        for bad in [
            "",
            "tile",
            "tile/0",
            "tile/0/",
            "/tile/0/000",
            "tile/0/0",
            "tile/0/00",
            "tile/0/0000",
            "tile/00/000",
            "tile/8/000",
            "tile/-1/000",
            "tile/data/000",
            "tile/0/x000/001",
            "tile/0/001/002",
            "tile/0/x001",
            "tile/0/+01",
            "tile/0/000.p/0",
            "tile/0/000.p/256",
            "tile/0/000.p/01",
            "tile/0/000.p/+1",
            "tile/0/000.p/",
            "tile/0/000/",
            "tile/0/../000",
            "tile/0/x999/x999/x999/x999/x999/x999/999",
            "tile/0/000.p/1/",
            "tile/0/\u{0660}00",
            "tile/0/000.p/70000",
        ] {
            assert!(TilePath::parse(bad).is_err(), "{bad}");
        }
        assert!(TilePath::parse(&format!("tile/0/{}", "x999/".repeat(100_000))).is_err());
    }

    #[test]
    fn the_example_of_the_specification_has_its_tiles() {
        let paths: Vec<TilePath> = tree_paths(70_000).collect();
        let of = |kind, full| paths.iter().filter(|p| p.kind == kind && (p.width == 256) == full).collect::<Vec<_>>();
        assert_eq!(of(TileKind::Hashes(0), true).len(), 273);
        assert_eq!(of(TileKind::Hashes(0), false)[0].path(), "tile/0/273.p/112");
        assert_eq!(of(TileKind::Hashes(1), true).len(), 1);
        assert_eq!(of(TileKind::Hashes(1), false)[0].path(), "tile/1/001.p/17");
        assert_eq!(of(TileKind::Hashes(2), false)[0].path(), "tile/2/000.p/1");
        assert_eq!(of(TileKind::Entries, true).len(), 273);
        assert_eq!(paths.len(), 274 + 274 + 2 + 1);
        assert!(paths.iter().all(|p| p.belongs_to(70_000) && TilePath::parse(&p.path()).unwrap() == *p));
    }

    #[test]
    fn a_full_level_has_a_partial_tile_above() {
        let paths: Vec<String> = tree_paths(256).map(|p| p.path()).collect();
        assert_eq!(paths, ["tile/entries/000", "tile/0/000", "tile/1/000.p/1"]);
        assert_eq!(tree_paths(0).count(), 0);
    }

    #[test]
    fn narrower_tiles_are_available_but_do_not_belong() {
        let narrow = TilePath::parse("tile/0/000.p/3").unwrap();
        assert!(narrow.is_available(5) && !narrow.belongs_to(5) && narrow.belongs_to(3) && !narrow.is_available(2));
        // The largest tree does not overflow.
        assert!(tree_paths(TREE_SIZE_MAX).next().is_some());
    }
}
