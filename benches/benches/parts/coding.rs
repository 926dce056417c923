//! The erasure code: one row of 64 KiB cells, in each geometry that Chartrier ships.

use std::hint::black_box;

use chartrier_storage::codec::{GEOMETRIES, Geometry};
use criterion::{BenchmarkId, Criterion, Throughput};

use crate::noise;

const CELL_BYTES: usize = 64 << 10;

pub(crate) fn benches(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("coding");
    for (k, m) in GEOMETRIES.into_iter().filter(|(_, m)| *m > 0) {
        let row = Row::encoded(Geometry::new(k, m).unwrap());
        let name = format!("{k}+{m}");
        group.throughput(Throughput::Bytes((row.geometry.k() * CELL_BYTES) as u64));
        group.bench_function(BenchmarkId::new("encode", &name), |bench| {
            let mut parity = vec![vec![0; CELL_BYTES]; row.geometry.m()];
            bench.iter(|| row.encode_into(black_box(&mut parity)));
        });
        group.bench_function(BenchmarkId::new("rebuild", &name), |bench| row.rebuild(bench));
    }
    group.finish();
    // Made once for each pattern of losses, not once a row.
    criterion.bench_function("coding/plan/4+2", |bench| {
        let row = Row::encoded(Geometry::new(4, 2).unwrap());
        let (present, lost) = row.worst_loss();
        bench.iter(|| row.geometry.codec().plan(black_box(&present), &lost).is_ok());
    });
}

struct Row {
    geometry: Geometry,
    /// Data cells, then parity cells.
    cells: Vec<Vec<u8>>,
}

impl Row {
    fn encoded(geometry: Geometry) -> Self {
        let data = noise(geometry.k() * CELL_BYTES);
        let cells = data.chunks(CELL_BYTES).map(<[u8]>::to_vec).collect();
        let mut row = Self { geometry, cells };
        let mut parity = vec![vec![0; CELL_BYTES]; geometry.m()];
        row.encode_into(&mut parity);
        row.cells.append(&mut parity);
        row
    }

    fn encode_into(&self, parity: &mut [Vec<u8>]) {
        let data: Vec<&[u8]> = self.cells[..self.geometry.k()].iter().map(Vec::as_slice).collect();
        let mut parity: Vec<&mut [u8]> = parity.iter_mut().map(Vec::as_mut_slice).collect();
        self.geometry.codec().encode(&data, &mut parity);
    }

    /// As many data columns gone as the code bears: which shards are there, and which to rebuild.
    fn worst_loss(&self) -> (Vec<bool>, Vec<usize>) {
        let lost = self.geometry.m().min(self.geometry.k());
        ((0..self.geometry.shards()).map(|shard| shard >= lost).collect(), (0..lost).collect())
    }

    fn rebuild(&self, bench: &mut criterion::Bencher<'_>) {
        let (present, lost) = self.worst_loss();
        let plan = self.geometry.codec().plan(&present, &lost).unwrap();
        let shards: Vec<Option<&[u8]>> =
            self.cells.iter().zip(&present).map(|(cell, present)| present.then_some(cell.as_slice())).collect();
        let mut rebuilt = vec![vec![0; CELL_BYTES]; lost.len()];
        bench.iter(|| {
            let mut out: Vec<&mut [u8]> = rebuilt.iter_mut().map(Vec::as_mut_slice).collect();
            plan.rebuild(black_box(&shards), &mut out).unwrap();
        });
        assert!(lost.iter().zip(&rebuilt).all(|(&shard, cell)| self.cells[shard] == *cell));
    }
}
