//! Goal: every byte that we write is the byte that a second implementation writes.
//! Method: read the answers of vectors/generate.py, made with PyPI's `cryptography`.

use chartrier_crypto::*;
use serde_json::Value;

use crate::common::{open_blob, pattern, seal_blob};

fn vectors() -> Value {
    serde_json::from_str(include_str!("../../vectors/sov1.json")).unwrap()
}

fn bytes(value: &Value, name: &str) -> Vec<u8> {
    hex::decode(value[name].as_str().unwrap()).unwrap()
}

fn array<const N: usize>(value: &Value, name: &str) -> [u8; N] {
    bytes(value, name).try_into().unwrap()
}

fn mode(value: &Value) -> Mode {
    Mode::try_from(value["mode"].as_str().unwrap().as_bytes()[0]).unwrap()
}

#[test]
fn part_streams() {
    for v in vectors()["part_streams"].as_array().unwrap() {
        let key = ObjectKey::generate(array(v, "object_key"));
        let number = v["part_number"].as_u64().unwrap() as u32;
        let plain = pattern(v["plain_len"].as_u64().unwrap() as usize);
        let sealer = PartSealer::new(&key, mode(v), array(v, "object_uuid"), number, array(v, "salt"));
        assert_eq!(sealer.header().encode()[..], bytes(v, "header"));

        let blob = seal_blob(sealer, &plain);
        assert_eq!(sha256(&blob)[..], bytes(v, "sealed_sha256"), "{} bytes", plain.len());
        let sealed = bytes(v, "sealed");
        assert!(sealed.is_empty() || sealed == blob);
        assert_eq!(sealed_len(plain.len() as u64), blob.len() as u64);
        assert_eq!(open_blob(&key, &blob).unwrap(), plain);
    }
}

#[test]
fn wraps_and_epoch_seals() {
    for v in vectors()["wraps"].as_array().unwrap() {
        let (bucket, version_id) = (array(v, "bucket"), array(v, "version_id"));
        let (object_uuid, key_name) = (array(v, "object_uuid"), bytes(v, "key_name"));
        let context = WrapContext {
            mode: mode(v),
            bucket: &bucket,
            key_name: &key_name,
            version_id: &version_id,
            object_uuid: &object_uuid,
        };
        let client = ClientKey::from_slice(&bytes(v, "root_key")).unwrap();
        let operator = OperatorKey::from_slice(&bytes(v, "root_key")).unwrap();
        let root = match context.mode {
            Mode::C => RootKey::Client(&client),
            _ => RootKey::Operator(&operator),
        };
        let key = ObjectKey::generate(array(v, "object_key"));
        let record = bytes(v, "record");
        assert_eq!(wrap(root, &key, &context, array(v, "salt")), record);
        assert_eq!(record.len(), WRAP_RECORD_LEN);
        assert!(unwrap(root, &record, &context).is_ok());

        let epoch_key = EpochKey::from_slice(&bytes(v, "epoch_key")).unwrap();
        let epoch = v["epoch"].as_u64().unwrap();
        let sealed = epoch_seal(&epoch_key, epoch, array(v, "wrap_id"), &record).unwrap();
        assert_eq!(sealed, bytes(v, "epoch_sealed"));
        assert_eq!(epoch_of(&sealed), Ok(Some(epoch)));
        assert_eq!(epoch_of(&record), Ok(None));
        assert_eq!(epoch_open(&epoch_key, &sealed), Ok(record));
        assert_eq!(unwrap(root, &sealed, &context).err(), Some(UnwrapError::EpochSealed));
    }
}

#[test]
fn boxes() {
    let v = &vectors()["boxes"];
    let key = ObjectKey::generate(array(v, "object_key"));
    let operator = OperatorKey::from_slice(&bytes(v, "operator_key")).unwrap();
    let (label, plain, salt) = (bytes(v, "label"), bytes(v, "plain"), array(v, "salt"));
    let metadata_key = key.metadata_key();

    assert_eq!(metadata_key.seal(salt, &label, &plain), bytes(v, "metadata"));
    assert_eq!(metadata_key.seal(salt, b"", b""), bytes(v, "metadata_empty"));
    assert_eq!(*metadata_key.open(&label, &bytes(v, "metadata")).unwrap(), plain);
    assert!(metadata_key.open(b"", &bytes(v, "metadata_empty")).unwrap().is_empty());

    assert_eq!(operator.seal_secret(&label, salt, &plain), bytes(v, "secret"));
    assert_eq!(*operator.open_secret(&label, &bytes(v, "secret")).unwrap(), plain);

    let manifest_key = key.manifest_key();
    let pending = pending_keys_seal(&operator, &label, salt, &manifest_key, &metadata_key);
    assert_eq!(pending, bytes(v, "pending"));
    let (manifest_again, metadata_again) = pending_keys_open(&operator, &label, &pending).unwrap();
    let empty = Manifest { parts: &[], total_len: 0, metadata_hash: [0; 32] };
    assert_eq!(manifest_again.mac(&empty), manifest_key.mac(&empty));
    assert_eq!(metadata_again.seal(salt, &label, &plain), bytes(v, "metadata"));
}

#[test]
fn manifests() {
    for v in vectors()["manifests"].as_array().unwrap() {
        let parts: Vec<_> = v["parts"].as_array().unwrap().iter().map(part).collect();
        let manifest = Manifest {
            parts: &parts,
            total_len: v["total_len"].as_u64().unwrap(),
            metadata_hash: array(v, "metadata_hash"),
        };
        let key = ObjectKey::generate(array(v, "object_key")).manifest_key();
        assert_eq!(key.mac(&manifest)[..], bytes(v, "mac"));
        assert_eq!(key.verify(&manifest, &array(v, "mac")), Ok(()));
    }
}

fn part(v: &Value) -> ManifestPart {
    ManifestPart {
        number: v["number"].as_u64().unwrap() as u32,
        salt: array(v, "salt"),
        commitment: array(v, "commitment"),
        plain_len: v["plain_len"].as_u64().unwrap(),
    }
}

#[test]
fn exports() {
    for v in vectors()["exports"].as_array().unwrap() {
        let file = bytes(v, "export");
        let mut plain = Vec::new();
        let opened = unseal::unseal(&file[..], &bytes(v, "root_key"), &mut plain).unwrap();
        assert_eq!(plain, pattern(v["plain_len"].as_u64().unwrap() as usize));
        assert_eq!(*opened.metadata, bytes(v, "metadata"));
        assert_eq!(opened.export.key_name, bytes(v, "key_name"));

        let front = opened.export.encode().unwrap();
        assert_eq!(front, file[..front.len()]);
        assert_eq!(opened.export.container_len().unwrap(), file.len() as u64);
    }
}
