//! Histories that are and that are not, and the search beside one that tries every order.

use super::*;
use crate::random::Random;

fn call(client: u32, asked: Asked, answered: impl Into<Option<Answered>>, begin_ns: u64, end_ns: u64) -> Call {
    Call { client, asked, answered: answered.into(), begin_ns, end_ns }
}

fn read(client: u32, state: State, begin_ns: u64, end_ns: u64) -> Call {
    call(client, Asked::Read, Answered::Holds(state), begin_ns, end_ns)
}

fn write(client: u32, value: Value, begin_ns: u64, end_ns: u64) -> Call {
    call(client, Asked::Write(value), Answered::Done, begin_ns, end_ns)
}

#[test]
fn one_after_the_other_is_what_a_register_does() {
    let replace = Asked::Replace { expected: 1, value: 2 };
    let history = [
        read(0, None, 0, 1),
        call(0, replace, Answered::Absent, 2, 3),
        call(0, Asked::Create(1), Answered::Done, 4, 5),
        call(1, Asked::Create(9), Answered::Refused, 6, 7),
        call(1, replace, Answered::Done, 8, 9),
        call(0, replace, Answered::Refused, 10, 11),
        read(0, Some(2), 12, 13),
        call(1, Asked::RemoveIf(1), Answered::Refused, 14, 15),
        call(1, Asked::RemoveIf(2), Answered::Done, 16, 17),
        call(1, Asked::RemoveIf(2), Answered::Done, 18, 19),
        call(0, Asked::Remove, Answered::Done, 20, 21),
        read(0, None, 22, 23),
    ];
    assert_eq!(check(None, &history).unwrap().states, [None]);
    for wrong in 0..history.len() {
        let mut history = history;
        history[wrong].answered = Some(match history[wrong].answered {
            Some(Answered::Holds(_)) => Answered::Holds(Some(77)),
            Some(Answered::Done) => Answered::Refused,
            _ => Answered::Done,
        });
        assert_eq!(check(None, &history).unwrap_err().call, history[wrong]);
    }
}

#[test]
fn a_read_that_is_older_than_one_that_has_ended_is_refused() {
    // The write is under way all the time: the first read may see it or not, but the second not less than the first.
    let seen = [write(0, 1, 0, 100), read(1, Some(1), 10, 20), read(2, None, 30, 40)];
    let violation = check(None, &seen).unwrap_err();
    assert_eq!((violation.call, violation.states.as_slice()), (seen[2], &[Some(1)][..]));
    assert_eq!(violation.under_way, [seen[0]]);
    let unseen = [write(0, 1, 0, 100), read(1, None, 10, 20), read(2, Some(1), 30, 40)];
    assert!(check(None, &unseen).is_ok());
    let at_once = [write(0, 1, 0, 100), read(1, Some(1), 10, 35), read(2, None, 30, 40)];
    assert!(check(None, &at_once).is_ok());
}

#[test]
fn a_write_that_was_acknowledged_is_not_forgotten() {
    assert!(check(None, &[write(0, 1, 0, 10), read(1, None, 11, 12)]).is_err());
    assert!(check(None, &[write(0, 1, 0, 10), read(1, None, 9, 12)]).is_ok());
    // Nor does what was overwritten come back.
    assert!(check(None, &[write(0, 1, 0, 10), write(0, 2, 11, 20), read(1, Some(1), 21, 22)]).is_err());
}

#[test]
fn of_two_who_replace_the_same_one_wins() {
    let replace = |client, value, answered| call(client, Asked::Replace { expected: 1, value }, answered, 0, 10);
    assert!(check(Some(1), &[replace(0, 2, Answered::Done), replace(1, 3, Answered::Refused)]).is_ok());
    assert!(check(Some(1), &[replace(0, 2, Answered::Done), replace(1, 3, Answered::Done)]).is_err());
    assert!(check(Some(1), &[replace(0, 2, Answered::Refused), replace(1, 3, Answered::Refused)]).is_err());
    let create = |client, value, answered| call(client, Asked::Create(value), answered, 0, 10);
    assert!(check(None, &[create(0, 2, Answered::Done), create(1, 3, Answered::Done)]).is_err());
    let removal = call(2, Asked::Remove, Answered::Done, 0, 10);
    assert!(check(None, &[create(0, 2, Answered::Done), create(1, 3, Answered::Done), removal]).is_ok());
}

#[test]
fn what_got_no_answer_happened_before_its_end_or_never() {
    let lost = call(0, Asked::Write(2), None, 0, 100);
    assert_eq!(check(Some(1), &[lost]).unwrap().states, [Some(1), Some(2)]);
    assert!(check(Some(1), &[lost, read(1, Some(1), 200, 201), read(1, Some(1), 300, 301)]).is_ok());
    assert!(check(Some(1), &[lost, read(1, Some(2), 200, 201), read(1, Some(2), 300, 301)]).is_ok());
    assert!(check(Some(1), &[lost, read(1, Some(1), 200, 201), read(1, Some(2), 300, 301)]).is_err());
    assert!(check(Some(1), &[lost, read(1, Some(1), 20, 21), read(1, Some(2), 30, 31)]).is_ok());
    // Not twice, and under its condition only.
    let history = [lost, read(1, Some(2), 10, 11), write(1, 3, 12, 13), read(1, Some(2), 14, 15)];
    assert!(check(Some(1), &history).is_err());
    let lost = call(0, Asked::Create(2), None, 0, 100);
    assert_eq!(check(Some(1), &[lost]).unwrap().states, [Some(1)]);
}

/// Every order that keeps those apart that were one after the other in time. Slow, and plain to see.
fn try_every_order(state: State, left: &[Call]) -> bool {
    if left.iter().all(|call| call.answered.is_none()) {
        return true;
    }
    left.iter().enumerate().any(|(at, next)| {
        // Nothing else has ended before it begins; what got no answer may be left out.
        let first = left.iter().all(|other| other.answered.is_none() || other.end_ns >= next.begin_ns);
        let rest: Vec<Call> = [&left[..at], &left[at + 1..]].concat();
        // What got no answer has happened by its end: not after a call that begins later.
        let rest: Vec<Call> =
            rest.into_iter().filter(|other| other.answered.is_some() || other.end_ns >= next.begin_ns).collect();
        first && next.happens(state).is_some_and(|after| try_every_order(after, &rest))
    })
}

fn draw_asked(random: &mut Random, value: Value) -> Asked {
    let expected = random.below(value + 1);
    match random.below(8) {
        0..=2 => Asked::Read,
        3 => Asked::Write(value),
        4 => Asked::Create(value),
        5 => Asked::Replace { expected, value },
        6 => Asked::Remove,
        _ => Asked::RemoveIf(expected),
    }
}

/// A history of a register that answers each call at a moment of its own, some of the answers lost.
fn draw_history(random: &mut Random, clients: u64, calls: u64) -> Vec<Call> {
    let mut free_at = vec![0; clients as usize];
    let mut drawn = Vec::new();
    for value in 1..=calls {
        let client = random.below(clients) as usize;
        let begin_ns: u64 = free_at[client] + 1 + random.below(20);
        let happens_ns = begin_ns + random.below(30);
        let end_ns = happens_ns + random.below(30);
        free_at[client] = end_ns;
        let asked = draw_asked(random, value);
        drawn.push((
            happens_ns,
            random.below(8),
            Call { client: client as u32, asked, answered: None, begin_ns, end_ns },
        ));
    }
    drawn.sort_by_key(|(happens_ns, ..)| *happens_ns);
    let mut state = None;
    let told = drawn.into_iter().map(|(_, luck, mut call)| {
        let (answer, after) = call.asked.apply(state);
        match luck {
            // Neither happened nor answered.
            0 => {}
            1 => state = after,
            _ => (state, call.answered) = (after, Some(answer)),
        }
        call
    });
    told.collect()
}

#[test]
fn what_a_register_did_is_accepted() {
    for seed in 0..100 {
        let mut random = Random::new(seed);
        let history = draw_history(&mut random, 8, 200);
        check(None, &history).unwrap_or_else(|violation| panic!("seed {seed}: {violation:?}"));
    }
}

#[test]
fn the_search_says_what_trying_every_order_says() {
    let (mut accepted, mut refused) = (0, 0);
    for seed in 0..5_000 {
        let mut random = Random::new(seed);
        let mut history = draw_history(&mut random, 4, 7);
        // One answer is another than it was, which may still be explained.
        let wrong = random.below(history.len() as u64) as usize;
        let value = random.below(8);
        let asked = history[wrong].asked;
        if history[wrong].answered.is_some() && seed % 4 > 0 {
            history[wrong].answered = Some(match asked {
                Asked::Read => Answered::Holds(Some(value).filter(|&value| value > 0)),
                _ => [Answered::Done, Answered::Refused, Answered::Absent][value as usize % 3],
            });
        }
        let found = check(None, &history).is_ok();
        assert_eq!(found, try_every_order(None, &history), "seed {seed}: {history:?}");
        *if found { &mut accepted } else { &mut refused } += 1;
    }
    assert!(accepted > 1_000 && refused > 1_000, "{accepted} accepted, {refused} refused");
}
