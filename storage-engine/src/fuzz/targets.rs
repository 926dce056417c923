//! The formats: rows and commands, the files of a drive, the log, checkpoints, the journal's exports.

use std::io::IoSlice;

use chartrier_journal::{Checkpoint, Json, Leaf, Signer, TilePath, Verifier, decode_bundle, encode_bundle, open_note};
use proptest::strategy::{Strategy as _, ValueTree as _};
use proptest::test_runner::TestRunner;

use super::Target;
use crate::checkpoint::manifest::{FileDigest, Manifest, ManifestFile, SourceStamp};
use crate::drive::{LogMembership, Superblock};
use crate::ids::{ClusterId, DriveId, SegmentId, StripeId};
use crate::io::{DriveIo, Fill, SimIo, SimWorld};
use crate::log::choose::choose;
use crate::log::entry::{Chain, EntryHeader, InBatch, crc64, put_u64};
use crate::log::scan::MirrorScan;
use crate::log::segment::{SegmentHeader as LogSegmentHeader, segment_name};
use crate::meta::model::Model;
use crate::meta::suite::commands::{at, command, create_bucket, drives, journal, layout, part, run_of, user, version};
use crate::meta::suite::random::op;
use crate::namespace::command::{Command, Layout, Op};
use crate::namespace::drives::{DriveRole, Then};
use crate::namespace::encoding::{Stored, decode, encode};
use crate::namespace::rows::{PartRow, StripeRun, UserRow, VersionRow};
use crate::segment::bytes::seal_crc64;
use crate::segment::footer::{DirectoryEntry, Trailer, encode_footer};
use crate::segment::header::{SegmentClass, SegmentHeader};
use crate::segment::location::{ShardKey, ShardLocation};
use crate::segment::record::{RecordPlace, decode_record_head};
use crate::segment::scan::scan_segment;
use crate::state::rows::DeadRun;

const CLUSTER: ClusterId = ClusterId::from_bytes([1; 16]);
const DRIVE: DriveId = DriveId::from_bytes([2; 16]);
const SEGMENT: SegmentId = SegmentId::from_bytes([3; 16]);
/// Targets that read whole files from a simulated drive get fewer inputs.
const FILE_ROUNDS: u64 = 15_000;

/// Nothing to seal.
fn as_it_is(_: &mut Vec<u8>) {}

fn row<T: Stored + PartialEq + std::fmt::Debug>(rows: Vec<T>) {
    let decode = |bytes: &[u8]| {
        if let Ok(found) = decode::<T>(bytes) {
            assert_eq!(decode::<T>(&encode(&found)), Ok(found));
        }
    };
    let seeds = rows.iter().map(encode).collect();
    Target { name: T::NAME, seeds, seal: &as_it_is, decode: &decode }.attack();
}

fn commands() -> Vec<Command> {
    let (strategy, mut runner) = (op(), TestRunner::deterministic());
    (0..200).map(|n| at(n, strategy.new_tree(&mut runner).unwrap().current())).collect()
}

#[test]
fn commands_of_the_log() {
    row(commands());
}

#[test]
fn rows_of_the_namespace() {
    row::<VersionRow>(vec![*version("e", vec![part(0, 7)]), *version("f", vec![part(1, 0), part(2, 9)])]);
    row::<PartRow>(vec![part(0, 7), part(1, 0)]);
    row::<DeadRun>(vec![DeadRun { run: run_of(3), died_us: 5 }]);
    row::<Layout>(vec![layout(1, 2), layout(9, 4)]);
    let users = commands().into_iter().filter_map(|command| match command.op {
        Op::CreateUser(row) => Some(*row),
        _ => None,
    });
    row::<UserRow>(
        users
            .chain(std::iter::once(match user("u", "owner", &["AK"], true) {
                Op::CreateUser(row) => *row,
                _ => unreachable!(),
            }))
            .collect(),
    );
    row(vec![drives(1, 0, &[]), drives(2, 3, &[(1, DriveRole::Leaving(Then::Drain)), (2, DriveRole::Retired)])]);
}

/// What a row says of its stripes is believed by those who read them: it must be harmless too.
#[test]
fn runs_of_stripes() {
    let decode = |bytes: &[u8]| {
        let Ok(run) = decode::<StripeRun>(bytes) else { return };
        for index in [0, 1, run.count.wrapping_sub(1), run.count, u32::MAX] {
            let _ = crate::blob::stripe_shape(&run, index).map(|shape| shape.padded_bytes());
            let _ = run.first.nth(index).index_in_run(run.first);
        }
    };
    Target { name: "run", seeds: vec![encode(&run_of(3))], seal: &as_it_is, decode: &decode }.attack();
}

#[test]
fn superblocks() {
    let superblock = |mirrors: usize| Superblock {
        sequence: 4,
        cluster: CLUSTER,
        drive: DRIVE,
        site: "FR-75".parse().unwrap(),
        created_us: 9,
        log: LogMembership { epoch: 6, term: 7, mirrors: vec![DRIVE; mirrors] },
    };
    let seal = |bytes: &mut Vec<u8>| {
        bytes.resize(4096, 0);
        seal_crc64(bytes, 4088);
    };
    let decode = |bytes: &[u8]| {
        if let Ok(found) = Superblock::decode(bytes) {
            assert_eq!(Superblock::decode(&found.encode()), Ok(found));
        }
    };
    let seeds = vec![superblock(0).encode(), superblock(3).encode(), superblock(16).encode()];
    Target { name: "superblock", seeds, seal: &seal, decode: &decode }.attack();
}

fn location(rows: usize) -> ShardLocation {
    ShardLocation {
        segment: SEGMENT,
        record_offset: 8192,
        record_bytes: 4096 + rows as u32 * 65_536,
        data_offset: 4096,
        cell_bytes: 65_536,
        last_cell_bytes: 4160,
        crcs: vec![7; rows],
    }
}

#[test]
fn entries_of_a_drives_index() {
    let decode = |bytes: &[u8]| {
        let _ = ShardKey::decode(bytes);
        let Ok(found) = ShardLocation::decode(bytes) else { return };
        assert_eq!(ShardLocation::decode(&found.encode()), Ok(found.clone()));
        let end = found.record_offset + u64::from(found.record_bytes);
        for row in 0..found.crcs.len() {
            // Whoever reads a cell takes memory for it.
            assert!(found.cell_len(row) <= 65_536 && found.cell_offset(row) + found.cell_len(row) as u64 <= end);
        }
        assert!(found.record_bytes <= 2 << 20, "{} bytes of a record", found.record_bytes);
    };
    let seeds = vec![location(1).encode(), location(4).encode(), location(16).encode()];
    Target { name: "location", seeds, seal: &as_it_is, decode: &decode }.attack();
}

fn place() -> RecordPlace {
    RecordPlace { cluster: CLUSTER, drive: DRIVE, segment: SEGMENT, offset: 4096 }
}

/// The head of a record with the same fields as [`location`], made by hand: byte places of `docs/formats/drive.md`.
fn record_head(rows: usize, offset: u64) -> Vec<u8> {
    let (of, head_bytes) = (location(rows), 256 + 8 * rows);
    let mut head = vec![0; head_bytes];
    head[..8].copy_from_slice(b"CHRTREC1");
    head[8..10].copy_from_slice(&1_u16.to_le_bytes());
    head[10..12].copy_from_slice(&(head_bytes as u16).to_le_bytes());
    head[24..40].copy_from_slice(CLUSTER.as_bytes());
    head[40..56].copy_from_slice(DRIVE.as_bytes());
    head[56..72].copy_from_slice(SEGMENT.as_bytes());
    head[72..80].copy_from_slice(&offset.to_le_bytes());
    head[80..96].copy_from_slice(StripeId::first(9, [4; 6]).as_bytes());
    head[96..100].copy_from_slice(&[1, 4, 2, rows as u8]);
    let fields = [of.cell_bytes, of.last_cell_bytes, of.data_offset, of.record_bytes, 300_000, 1, 0];
    for (n, field) in fields.into_iter().enumerate() {
        head[100 + 4 * n..104 + 4 * n].copy_from_slice(&field.to_le_bytes());
    }
    seal_record(&mut head);
    head
}

fn seal_record(head: &mut Vec<u8>) {
    if head.len() < 256 {
        head.resize(256, 0);
    }
    let said = usize::from(u16::from_le_bytes([head[10], head[11]]));
    let len = said.clamp(24, head.len());
    seal_crc64(&mut head[..len], 16);
}

#[test]
fn heads_of_records() {
    let seeds = vec![record_head(1, 4096), record_head(4, 4096), record_head(16, 4096)];
    assert!(decode_record_head(&seeds[1], &place()).is_ok());
    let decode = |bytes: &[u8]| drop(decode_record_head(bytes, &place()));
    Target { name: "record", seeds, seal: &seal_record, decode: &decode }.attack();
}

#[test]
fn headers_of_segments() {
    let header = SegmentHeader {
        cluster: CLUSTER,
        drive: DRIVE,
        segment: SEGMENT,
        class: SegmentClass::Copies,
        reserved_bytes: 1 << 28,
        created_us: 3,
    };
    let seal = |bytes: &mut Vec<u8>| {
        bytes.resize(4096, 0);
        seal_crc64(bytes, 4088);
    };
    let decode = |bytes: &[u8]| {
        if let Ok(found) = SegmentHeader::decode(bytes) {
            assert_eq!(SegmentHeader::decode(&found.encode()), Ok(found));
        }
    };
    Target { name: "segment header", seeds: vec![header.encode()], seal: &seal, decode: &decode }.attack();
}

/// Two records and a footer, as a file.
fn segment_file() -> Vec<u8> {
    let header = SegmentHeader {
        cluster: CLUSTER,
        drive: DRIVE,
        segment: SEGMENT,
        class: SegmentClass::Data,
        reserved_bytes: 1 << 20,
        created_us: 3,
    };
    let mut file = header.encode();
    let mut directory = Vec::new();
    for rows in [1, 2] {
        let offset = file.len() as u64;
        file.extend_from_slice(&record_head(rows, offset));
        file.resize(offset as usize + location(rows).record_bytes as usize, 0);
        let key = ShardKey { stripe: StripeId::first(9, [4; 6]), shard: 1 };
        directory.push(DirectoryEntry {
            key,
            location: ShardLocation { record_offset: offset, crcs: vec![0; rows], ..location(rows) },
        });
    }
    let footer = encode_footer(SEGMENT, file.len() as u64, &directory, [8; 32]);
    file.extend_from_slice(&footer);
    file
}

#[test]
fn footers() {
    let file = segment_file();
    let file_bytes = file.len() as u64;
    let trailer = Trailer::decode(&file[file.len() - 4096..], SEGMENT, file_bytes).unwrap();
    let directory_at = trailer.directory_offset as usize;
    let footer = file[directory_at..].to_vec();
    // The directory in front, its trailer at the end.
    let seal = |bytes: &mut Vec<u8>| {
        bytes.resize(bytes.len().max(4096), 0);
        let at = bytes.len() - 4096;
        let said = u64::from_le_bytes(bytes[at + 40..at + 48].try_into().unwrap()).min(at as u64) as usize;
        let hash = blake3::hash(&bytes[..said]);
        bytes[at + 48..at + 80].copy_from_slice(hash.as_bytes());
        seal_crc64(&mut bytes[at..], 4088);
    };
    let decode = |bytes: &[u8]| {
        let Some(at) = bytes.len().checked_sub(4096) else { return };
        for file_bytes in [directory_at as u64 + bytes.len() as u64, u64::MAX, 0] {
            let Ok(trailer) = Trailer::decode(&bytes[at..], SEGMENT, file_bytes) else { continue };
            let directory = bytes.get(..trailer.directory_bytes as usize).unwrap_or_default();
            let _ = trailer.decode_directory(directory);
        }
    };
    Target { name: "footer", seeds: vec![footer], seal: &seal, decode: &decode }.attack();
}

/// A file with these bytes on a new simulated drive.
fn on_drive(name: &str, bytes: &[u8]) -> SimIo {
    let io = SimIo::new(&SimWorld::new(), "d");
    let file = io.create(name, bytes.len() as u64, Fill::Zero).unwrap();
    file.write_at(0, &[IoSlice::new(bytes)]).unwrap();
    io
}

#[test]
fn whole_segments() {
    let seal = |bytes: &mut Vec<u8>| {
        // Whatever looks like a record is made to be one, and the end a trailer.
        for at in (4096..bytes.len().saturating_sub(300)).step_by(4096) {
            if bytes[at..].starts_with(b"CHRTREC1") {
                let said = usize::from(u16::from_le_bytes([bytes[at + 10], bytes[at + 11]]));
                let len = said.clamp(24, bytes.len() - at);
                seal_crc64(&mut bytes[at..at + len], 16);
            }
        }
        if bytes.len() >= 4096 {
            let at = bytes.len() - 4096;
            seal_crc64(&mut bytes[at..], 4088);
        }
    };
    let decode = |bytes: &[u8]| {
        let io = on_drive("s", bytes);
        let Ok(scanned) = scan_segment(&*io.open("s").unwrap(), &RecordPlace { offset: 0, ..place() }) else { return };
        for entry in scanned.directory {
            assert!(entry.location.segment == SEGMENT && entry.location.crcs.len() <= 16);
        }
    };
    let seeds = vec![segment_file(), segment_file()[..150_000].to_vec()];
    Target { name: "segment", seeds, seal: &seal, decode: &decode }.attack_for(FILE_ROUNDS);
}

fn log_header(sequence: u64) -> LogSegmentHeader {
    LogSegmentHeader { sequence, len_bytes: 64 << 10, term: 3, first_index: 1, before: Chain::genesis(CLUSTER) }
}

/// A segment of the log with a batch of two and one of one.
fn log_file() -> Vec<u8> {
    let mut file = log_header(1).encode(CLUSTER);
    let mut chain = Chain::genesis(CLUSTER);
    for (index, in_batch) in [(1, InBatch::Middle), (2, InBatch::Last), (3, InBatch::Last)] {
        let payload = vec![index as u8; 50];
        let header = EntryHeader {
            in_batch,
            payload_len: 50,
            term: 3,
            index,
            durable: index - 1,
            segment: 1,
            offset: file.len() as u64,
            payload_crc: crc64(&payload),
        };
        chain = header.append_entry(CLUSTER, &chain, &payload, &mut file);
        file.resize(header.next_offset() as usize, 0);
    }
    file.resize(64 << 10, 0);
    file
}

/// Makes header and entries believable again, wherever one begins; their chain is what it was.
fn seal_log(bytes: &mut [u8]) {
    if bytes.len() >= 256 && bytes.starts_with(b"CHARLOG1") {
        let crc = crc64(&bytes[..248]);
        put_u64(bytes, 248, crc);
    }
    for at in (0..bytes.len().saturating_sub(128)).step_by(64) {
        if bytes[at..].starts_with(b"CHLE") {
            let said = u32::from_le_bytes(bytes[at + 8..at + 12].try_into().unwrap()) as usize;
            if let Some(payload) = bytes.get(at + 128..(at + 128).saturating_add(said)) {
                let crc = crc64(payload);
                put_u64(bytes, at + 56, crc);
            }
            let crc = crc64(&bytes[at..at + 120]);
            put_u64(bytes, at + 120, crc);
        }
    }
}

#[test]
fn segments_of_the_log_and_the_choice_among_them() {
    let decode = |bytes: &[u8]| {
        let world = SimWorld::new();
        let scan = |name: &str, bytes: &[u8]| {
            let io = SimIo::new(&world, name);
            let file = io.create(&segment_name(1), bytes.len() as u64, Fill::Zero).unwrap();
            file.write_at(0, &[IoSlice::new(bytes)]).unwrap();
            MirrorScan::of(&io, CLUSTER)
        };
        let scans = [scan("damaged", bytes), scan("good", &log_file())];
        for scans in [&scans[..1], &scans] {
            for applied in [0, 2, 3] {
                let Ok(Some(log)) = choose(scans, applied, applied) else { continue };
                assert!(log.end.next_index > applied && log.end.offset >= 4096);
            }
        }
    };
    Target { name: "log segment", seeds: vec![log_file()], seal: &|bytes| seal_log(bytes), decode: &decode }
        .attack_for(FILE_ROUNDS);
}

#[test]
fn headers_of_log_entries() {
    let decode = |bytes: &[u8]| {
        let Some(head) = bytes.first_chunk::<128>() else { return };
        if let Some(found) = EntryHeader::decode(head, CLUSTER, 1, 4096) {
            assert!(found.next_offset() > 4096);
            let _ = found.check(head, &bytes[128..]);
        }
    };
    let seed = log_file()[4096..4096 + 178].to_vec();
    Target { name: "log entry", seeds: vec![seed], seal: &|bytes| seal_log(bytes), decode: &decode }.attack();
}

#[test]
fn manifests_of_checkpoints() {
    let file = |name: &str| ManifestFile {
        name: name.into(),
        len_bytes: 9,
        digest: FileDigest([7; 32]),
        source: SourceStamp { inode: 7, modified_ns: 8 },
    };
    let manifest = Manifest { cluster: CLUSTER, applied: 42, files: vec![file("CURRENT"), file("000012.sst")] };
    let seal = |bytes: &mut Vec<u8>| {
        let body = bytes.len().saturating_sub(32);
        let digest = blake3::hash(&bytes[..body]);
        bytes.truncate(body);
        bytes.extend_from_slice(digest.as_bytes());
    };
    let decode = |bytes: &[u8]| {
        if let Some(found) = Manifest::decode(bytes, CLUSTER) {
            assert_eq!(Manifest::decode(&found.encode(), CLUSTER), Some(found));
        }
    };
    Target { name: "manifest", seeds: vec![manifest.encode()], seal: &seal, decode: &decode }.attack();
}

/// Leaves as the state machine writes them, and what an export says around them.
#[test]
fn the_journal() {
    let model = Model::new();
    for (index, command) in
        [journal(), create_bucket(1, "bucket")].map(command).into_iter().chain(commands()).enumerate()
    {
        model.apply(index as u64 + 1, &command);
    }
    let size = crate::meta::MetaReads::journal_size(&model);
    let leaves: Vec<Vec<u8>> =
        (0..size).map(|index| crate::meta::MetaReads::leaf(&model, index).unwrap().unwrap()).collect();
    assert!(leaves.len() > 20);
    let decode = |bytes: &[u8]| {
        let _ = Json::parse(bytes);
        if let Ok(leaf) = Leaf::parse(bytes)
            && let Ok(text) = leaf.encode()
        {
            assert_eq!(Leaf::parse(&text).unwrap(), leaf);
        }
    };
    Target { name: "leaf", seeds: leaves.clone(), seal: &as_it_is, decode: &decode }.attack();

    let bundle = encode_bundle(&leaves[..20]).unwrap();
    let decode =
        |bytes: &[u8]| [0, 1, 20, 256, u16::MAX].into_iter().for_each(|count| drop(decode_bundle(bytes, count)));
    Target { name: "bundle", seeds: vec![bundle], seal: &as_it_is, decode: &decode }.attack();

    let signer = Signer::new("chartrier.test/cycle", &[5; 32]).unwrap();
    let root = chartrier_journal::empty_root();
    let note = Checkpoint::new("chartrier.test/cycle", 0, root).unwrap().sign(&signer).unwrap();
    let verifier = signer.verifier();
    let decode = |bytes: &[u8]| {
        let text = String::from_utf8_lossy(bytes);
        let _ = (Checkpoint::parse(&text), open_note(&text, &[&verifier]), Checkpoint::open(&text, &verifier));
        let _ = (Verifier::from_vkey(&text), TilePath::parse(&text), chartrier_journal::Proof::parse(&text));
    };
    let seeds = [note.as_str(), &signer.vkey(), "tile/entries/x001/234.p/56", "tile/0/000"]
        .map(|text| text.as_bytes().to_vec());
    Target { name: "note", seeds: seeds.to_vec(), seal: &as_it_is, decode: &decode }.attack();
}

#[test]
fn the_description_of_an_installation() {
    let text = br#"{"format":1,"cluster":"01010101010101010101010101010101","k":4,"m":2,"drives":[{"id":"02020202020202020202020202020202","path":"/d1","active":true}]}"#;
    let dir = std::path::Path::new("/data");
    let decode = |bytes: &[u8]| {
        if let Ok(found) = crate::engine::parse_description(dir, bytes) {
            let _ = found.ids(dir);
        }
    };
    assert!(crate::engine::parse_description(dir, text).is_ok());
    Target { name: "engine.json", seeds: vec![text.to_vec()], seal: &as_it_is, decode: &decode }.attack();
}
