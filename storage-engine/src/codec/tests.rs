use super::*;

/// The generator of `vectors/isal_vectors.py`.
fn data_cell(k: u8, m: u8, len: usize, column: usize) -> Vec<u8> {
    let mut state = u64::from(k) << 48 ^ u64::from(m) << 40 ^ (len as u64) << 8 ^ column as u64;
    let mut bytes = vec![0; len];
    for byte in &mut bytes {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        *byte = (state >> 56) as u8;
    }
    bytes
}

fn row(geometry: Geometry, len: usize) -> Vec<Vec<u8>> {
    let mut cells: Vec<Vec<u8>> =
        (0..geometry.k()).map(|column| data_cell(geometry.k, geometry.m, len, column)).collect();
    cells.resize(geometry.shards(), vec![0xee; len]);
    let (data, parity) = cells.split_at_mut(geometry.k());
    let data: Vec<&[u8]> = data.iter().map(Vec::as_slice).collect();
    let mut parity: Vec<&mut [u8]> = parity.iter_mut().map(Vec::as_mut_slice).collect();
    geometry.codec().encode(&data, &mut parity);
    cells
}

#[test]
fn parity_is_that_of_isal() {
    let mut cases = 0;
    for line in include_str!("vectors/isal_vectors.txt").lines() {
        let mut fields = line.split(' ');
        let mut next = || fields.next().unwrap();
        let (k, m, len) = (next().parse().unwrap(), next().parse().unwrap(), next().parse().unwrap());
        let cells = row(Geometry::new(k, m).unwrap(), len);
        let (data, parity) = cells.split_at(usize::from(k));
        assert_eq!(format!("{:08x}", crc_fast::crc32_iso_hdlc(&data.concat())), next());
        for cell in parity {
            let head: String = cell[..32].iter().map(|byte| format!("{byte:02x}")).collect();
            assert_eq!(format!("{:08x}:{head}", crc_fast::crc32_iso_hdlc(cell)), next(), "{k}+{m}, {len}");
        }
        cases += 1;
    }
    assert_eq!(cases, 30);
}

/// Every set of shards of every geometry: rebuilt if k remain, refused if fewer do.
#[test]
fn every_pattern_of_losses() {
    for (k, m) in KNOWN {
        let geometry = Geometry::of_stripe(k, m).unwrap();
        let cells = row(geometry, 192);
        for kept in 0_u32..1 << geometry.shards() {
            let present: Vec<bool> = (0..geometry.shards()).map(|shard| kept >> shard & 1 == 1).collect();
            let lost: Vec<usize> = (0..geometry.shards()).filter(|shard| !present[*shard]).collect();
            let shards: Vec<Option<&[u8]>> =
                cells.iter().zip(&present).map(|(cell, present)| present.then_some(cell.as_slice())).collect();
            let plan = geometry.codec().plan(&present, &lost);
            if lost.is_empty() {
                continue;
            }
            if lost.len() > geometry.m() {
                assert!(plan.is_err());
                continue;
            }
            let mut rebuilt = vec![vec![0; 192]; lost.len()];
            let mut out: Vec<&mut [u8]> = rebuilt.iter_mut().map(Vec::as_mut_slice).collect();
            plan.unwrap().rebuild(&shards, &mut out).unwrap();
            for (shard, cell) in lost.iter().zip(&rebuilt) {
                assert_eq!(cell, &cells[*shard], "{k}+{m} without {lost:?}");
            }
        }
    }
}

#[test]
fn quorums_leave_room_for_one_more_loss() {
    let quorums: Vec<usize> = GEOMETRIES.iter().map(|(k, m)| Geometry::new(*k, *m).unwrap().write_quorum()).collect();
    assert_eq!(quorums, [1, 2, 3, 3, 5, 10, 11]);
    assert!(Geometry::new(3, 2).is_err() && Geometry::of_stripe(3, 2).is_err());
    // Copies are stored, and no pool is of them.
    for (k, m) in GEOMETRIES.into_iter().filter(|(_, m)| *m > 0) {
        let (pool, copies) = (Geometry::new(k, m).unwrap(), Geometry::new(k, m).unwrap().copies());
        assert_eq!(Geometry::of_stripe(1, m), Ok(copies));
        assert_eq!((copies.m(), copies.shards()), (pool.m(), pool.m() + 1));
        assert_eq!(pool.shards() - pool.write_quorum(), copies.shards() - copies.write_quorum());
    }
    assert!(Geometry::new(1, 2).is_err() && Geometry::of_stripe(1, 5).is_err());
    assert!(COPIES.iter().all(|pair| KNOWN.contains(pair)) && GEOMETRIES.iter().all(|pair| KNOWN.contains(pair)));
}
