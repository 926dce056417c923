//! Every target on its seeds, as they are and changed at random: so that no target rots between two runs of the
//! fuzzer. Seeds and dictionaries are those of the fuzzer.

use std::path::{Path, PathBuf};

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use super::{TARGETS, Target};

/// Changed inputs of each target.
const CASES: u32 = 1500;

/// One change of an input; places are taken modulo its length.
#[derive(Debug, Clone)]
enum Change {
    Flip(usize, u8),
    Set(usize, u8),
    /// A word of the dictionary.
    Word(usize, usize),
    Remove(usize, usize),
    Repeat(usize, usize, usize),
    /// The end of another seed.
    Splice(usize, usize, usize),
}

fn change() -> impl Strategy<Value = Change> {
    let at = any::<usize>;
    prop_oneof![
        (at(), 0..8u8).prop_map(|(at, bit)| Change::Flip(at, bit)),
        (at(), any::<u8>()).prop_map(|(at, byte)| Change::Set(at, byte)),
        (at(), at()).prop_map(|(at, word)| Change::Word(at, word)),
        (at(), 1..40usize).prop_map(|(at, len)| Change::Remove(at, len)),
        (at(), 1..40usize, 1..20usize).prop_map(|(at, len, times)| Change::Repeat(at, len, times)),
        (at(), at(), at()).prop_map(|(at, seed, from)| Change::Splice(at, seed, from)),
    ]
}

struct Material {
    seeds: Vec<Vec<u8>>,
    words: Vec<Vec<u8>>,
}

impl Material {
    fn of(target: &str) -> Self {
        let fuzz = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz");
        let mut files: Vec<PathBuf> =
            std::fs::read_dir(fuzz.join("seeds").join(target)).unwrap().map(|entry| entry.unwrap().path()).collect();
        files.sort();
        let seeds: Vec<_> = files.iter().map(|file| std::fs::read(file).unwrap()).collect();
        assert!(!seeds.is_empty(), "{target} has no seed");
        let dictionary = std::fs::read_to_string(fuzz.join("dictionaries").join(format!("{target}.dict"))).unwrap();
        let words: Vec<_> = dictionary.lines().filter(|line| line.starts_with('"')).map(word).collect();
        assert!(!words.is_empty(), "{target} has no words");
        Self { seeds, words }
    }

    fn changed(&self, seed: usize, changes: &[Change]) -> Vec<u8> {
        let pick = |all: &'_ [Vec<u8>], at: usize| all[at % all.len()].clone();
        let mut input = pick(&self.seeds, seed);
        for change in changes {
            let place = |at: usize, input: &[u8]| at % (input.len() + 1);
            match *change {
                Change::Flip(at, bit) => {
                    let at = place(at, &input);
                    input.get_mut(at).into_iter().for_each(|byte| *byte ^= 1 << bit);
                }
                Change::Set(at, new) => {
                    let at = place(at, &input);
                    input.get_mut(at).into_iter().for_each(|byte| *byte = new);
                }
                Change::Word(at, word) => {
                    let at = place(at, &input);
                    drop(input.splice(at..at, pick(&self.words, word)));
                }
                Change::Remove(at, len) => {
                    let at = place(at, &input);
                    drop(input.drain(at..(at + len).min(input.len())));
                }
                Change::Repeat(at, len, times) => {
                    let at = place(at, &input);
                    let piece = input[at..(at + len).min(input.len())].repeat(times);
                    drop(input.splice(at..at, piece));
                }
                Change::Splice(at, seed, from) => {
                    let other = pick(&self.seeds, seed);
                    input.truncate(place(at, &input));
                    input.extend_from_slice(&other[place(from, &other)..]);
                }
            }
        }
        input
    }
}

/// A line of a dictionary: text in quotes with `\\`, `\"` and `\xNN`.
fn word(line: &str) -> Vec<u8> {
    let inside = line.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).expect("a word is in quotes");
    let mut bytes = inside.bytes();
    let mut word = Vec::new();
    while let Some(byte) = bytes.next() {
        word.push(match byte {
            b'\\' => match bytes.next() {
                Some(b'x') => {
                    let digits = [bytes.next().unwrap(), bytes.next().unwrap()];
                    u8::from_str_radix(std::str::from_utf8(&digits).unwrap(), 16).unwrap()
                }
                escaped => escaped.unwrap(),
            },
            byte => byte,
        });
    }
    word
}

fn attack(name: &str, target: Target) {
    let material = Material::of(name);
    for seed in &material.seeds {
        target(seed);
    }
    let config = Config { cases: CASES, failure_persistence: None, ..Config::default() };
    let inputs = (any::<usize>(), proptest::collection::vec(change(), 1..5));
    let held = TestRunner::new(config).run(&inputs, |(seed, changes)| {
        target(&material.changed(seed, &changes));
        Ok(())
    });
    assert!(held.is_ok(), "{name}: {}", held.unwrap_err());
}

/// One test a target, so that the one that fails is named.
macro_rules! attacks {
    ($($name:ident)+) => {
        $(#[test]
        fn $name() {
            attack(stringify!($name), super::$name);
        })+

        #[test]
        fn every_target_is_here_and_in_the_folder_of_the_fuzzer() {
            assert_eq!(TARGETS.map(|(name, _)| name), [$(stringify!($name)),+]);
            let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/fuzz_targets");
            for (name, _) in TARGETS {
                assert!(folder.join(format!("{name}.rs")).is_file(), "{name}");
            }
        }
    };
}

attacks!(authorization aws_chunked bucket_rules documents export headers journal policy post_form routing sts);
