//! Cauchy Reed-Solomon over GF(2^8), byte for byte that of ISA-L.
//!
//! Rows `k..k+m` of the matrix are ISA-L's `gf_gen_cauchy1_matrix`, over polynomial 0x11d. The
//! stored bytes are ISA-L's, so the implementation below can change and the data stays.
//!
//! Source: <https://github.com/intel/isa-l>, `erasure_code/ec_base.c`.

use std::sync::OnceLock;

use rusty_erasure::{Coder, DecodePlan, Matrix};

/// Numbers of data and parity columns that Chartrier writes and reads.
pub const GEOMETRIES: [(u8, u8); 7] = [(1, 0), (1, 1), (2, 1), (2, 2), (4, 2), (8, 3), (8, 4)];

/// Columns of a blob that is kept as whole copies beside stripes of some of [`GEOMETRIES`]: one of data, and its copies.
const COPIES: [(u8, u8); 4] = [(1, 1), (1, 2), (1, 3), (1, 4)];
/// [`GEOMETRIES`] and [`COPIES`], each once.
const KNOWN: [(u8, u8); 10] = [(1, 0), (1, 1), (2, 1), (2, 2), (4, 2), (8, 3), (8, 4), COPIES[1], COPIES[2], COPIES[3]];

/// Columns in the widest geometry.
pub const SHARDS_MAX: usize = 12;

/// Data and parity columns: one of [`GEOMETRIES`], or one column and its copies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Geometry {
    k: u8,
    m: u8,
}

/// Not one of the geometries that Chartrier writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{k}+{m} is not an erasure code of Chartrier: take one of 1+0, 1+1, 2+1, 2+2, 4+2, 8+3, 8+4")]
pub struct UnknownGeometry {
    /// Data columns asked for.
    pub k: u8,
    /// Parity columns asked for.
    pub m: u8,
}

impl Geometry {
    /// Checks that the pair is one of [`GEOMETRIES`].
    pub fn new(k: u8, m: u8) -> Result<Self, UnknownGeometry> {
        if GEOMETRIES.contains(&(k, m)) { Ok(Self { k, m }) } else { Err(UnknownGeometry { k, m }) }
    }

    /// The geometry of a stored stripe: one of [`GEOMETRIES`], or whole copies.
    pub fn of_stripe(k: u8, m: u8) -> Result<Self, UnknownGeometry> {
        if KNOWN.contains(&(k, m)) { Ok(Self { k, m }) } else { Err(UnknownGeometry { k, m }) }
    }

    /// Whole copies that outlive as many losses as a stripe of this geometry.
    pub fn copies(self) -> Self {
        Self { k: 1, m: self.m }
    }

    /// Whether each column holds the same bytes, so that none need be computed.
    pub fn is_replication(self) -> bool {
        self.k == 1
    }

    /// Data columns.
    pub fn k(self) -> usize {
        usize::from(self.k)
    }

    /// Parity columns: how many may be lost.
    pub fn m(self) -> usize {
        usize::from(self.m)
    }

    /// Data and parity columns.
    pub fn shards(self) -> usize {
        self.k() + self.m()
    }

    /// Shards that must be durable before a write is acknowledged: k + max(1, m-1), or k without parity.
    pub fn write_quorum(self) -> usize {
        if self.m == 0 { self.k() } else { self.k() + self.m().saturating_sub(1).max(1) }
    }

    /// The code of this geometry; made once per process.
    pub fn codec(self) -> &'static Codec {
        static CODECS: [OnceLock<Codec>; KNOWN.len()] = [const { OnceLock::new() }; KNOWN.len()];
        let place = KNOWN.iter().position(|pair| *pair == (self.k, self.m)).expect("checked by new");
        CODECS[place].get_or_init(|| Codec::new(self))
    }
}

/// More shards are missing than there is parity, or their lengths differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("too few shards of one length to rebuild from")]
pub struct CannotRebuild;

/// Encodes rows of cells and rebuilds lost cells.
#[derive(Debug)]
pub struct Codec {
    geometry: Geometry,
    /// None without parity, and for copies: with one data column every coefficient is taken as 1, which for 1+1 is
    /// ISA-L's too.
    coder: Option<Coder>,
}

impl Codec {
    fn new(geometry: Geometry) -> Self {
        let coder = (geometry.m > 0 && !geometry.is_replication()).then(|| {
            let matrix = Matrix::cauchy(geometry.k(), geometry.m()).expect("every geometry is within GF(2^8)");
            rusty_erasure::coder(matrix).expect("the matrix has parity rows")
        });
        Self { geometry, coder }
    }

    /// Computes the m parity cells of a row from its k data cells, all of one length.
    ///
    /// # Panics
    /// If the number or the lengths of the cells are wrong: a bug in the caller.
    pub fn encode(&self, data: &[&[u8]], parity: &mut [&mut [u8]]) {
        assert_eq!((data.len(), parity.len()), (self.geometry.k(), self.geometry.m()));
        match &self.coder {
            Some(coder) => coder.encode(data, parity).expect("cells of one row have one length"),
            None => parity.iter_mut().for_each(|copy| copy.copy_from_slice(data[0])),
        }
    }

    /// Prepares to rebuild the shards `targets` from those marked in `present`.
    ///
    /// # Errors
    /// [`CannotRebuild`] if fewer than k shards are present.
    pub fn plan(&self, present: &[bool], targets: &[usize]) -> Result<RebuildPlan<'_>, CannotRebuild> {
        let Some(coder) = &self.coder else {
            return present.iter().position(|good| *good).map(RebuildPlan::Copy).ok_or(CannotRebuild);
        };
        let plan = coder.decode_plan(present, targets).map_err(|_| CannotRebuild)?;
        Ok(RebuildPlan::Decode(coder, plan))
    }
}

/// A rebuild prepared for one pattern of losses.
pub enum RebuildPlan<'a> {
    /// Every target is what this shard is.
    Copy(usize),
    /// Targets are computed.
    Decode(&'a Coder, DecodePlan),
}

impl RebuildPlan<'_> {
    /// Rebuilds one row: `shards` in order with those present, `out` one cell per target.
    ///
    /// # Errors
    /// [`CannotRebuild`] if a shard that the plan counts on is absent or of another length.
    pub fn rebuild(&self, shards: &[Option<&[u8]>], out: &mut [&mut [u8]]) -> Result<(), CannotRebuild> {
        match self {
            Self::Decode(coder, plan) => coder.recover_with(plan, shards, out).map_err(|_| CannotRebuild),
            Self::Copy(from) => {
                let source = shards.get(*from).copied().flatten().ok_or(CannotRebuild)?;
                for cell in out {
                    if cell.len() != source.len() {
                        return Err(CannotRebuild);
                    }
                    cell.copy_from_slice(source);
                }
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests;
