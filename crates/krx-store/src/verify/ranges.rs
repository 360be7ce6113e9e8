//! Whether the frame ranges of a feed's files on a date adjoin: pure.

use crate::layout::CommittedName;

/// Frames that are in no file, or in two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Break {
    /// These frames are in no file; the file at this index comes after them.
    Hole { first: u64, last: u64, after: usize },
    /// The file at this index begins with frames that are also in an earlier one.
    Overlap { first: u64, last: u64, at: usize },
}

/// What is wrong with ranges (first and last frame, inclusive) that should cover all frames from 1 on. They are in
/// order of first frame.
pub(super) fn breaks(ranges: &[(u64, u64)]) -> Vec<Break> {
    let (mut found, mut covered) = (Vec::new(), 0);
    for (index, &(first, last)) in ranges.iter().enumerate() {
        if first > covered + 1 {
            found.push(Break::Hole {
                first: covered + 1,
                last: first - 1,
                after: index,
            });
        } else if first <= covered {
            found.push(Break::Overlap {
                first,
                last: last.min(covered),
                at: index,
            });
        }
        covered = covered.max(last);
    }
    found
}

/// How many frames ranges cover, in order of first frame.
pub(super) fn held(ranges: &[(u64, u64)]) -> u64 {
    let (mut frames, mut covered) = (0, 0);
    for &(first, last) in ranges {
        frames += (last + 1).saturating_sub(first.max(covered + 1));
        covered = covered.max(last);
    }
    frames
}

/// Files that belong together, by index: those that share frames, directly or through others.
pub(super) fn groups(names: &[CommittedName]) -> Vec<Vec<usize>> {
    let mut order: Vec<usize> = (0..names.len()).collect();
    order.sort_by_key(|index| names[*index].first_frame);
    let (mut groups, mut last): (Vec<Vec<usize>>, _) = (Vec::new(), 0);
    for index in order {
        let name = names[index];
        match groups.last_mut() {
            Some(group) if name.first_frame <= last => group.push(index),
            _ => groups.push(vec![index]),
        }
        last = last.max(name.last_frame);
    }
    groups
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn each_frame_is_counted_once() {
        assert_eq!(held(&[]), 0);
        assert_eq!(held(&[(1, 5), (6, 6), (9, 9)]), 7);
        assert_eq!(held(&[(3, 9), (4, 5), (5, 11), (20, 21)]), 11);
    }

    #[test]
    fn holes_and_overlaps_are_found() {
        assert_eq!(breaks(&[]), []);
        assert_eq!(breaks(&[(1, 5), (6, 6), (7, 9)]), []);
        let hole = |first, last, after| Break::Hole { first, last, after };
        let overlap = |first, last, at| Break::Overlap { first, last, at };
        assert_eq!(breaks(&[(3, 5), (7, 9)]), [hole(1, 2, 0), hole(6, 6, 1)]);
        assert_eq!(
            breaks(&[(1, 5), (5, 9), (5, 5), (10, 11)]),
            [overlap(5, 5, 1), overlap(5, 5, 2)]
        );
    }

    proptest! {
        #[test]
        fn ranges_that_adjoin_are_sound_and_each_one_is_needed(lengths in prop::collection::vec(1..50_u64, 2..30), left_out in any::<prop::sample::Index>()) {
            let mut next = 1;
            let mut ranges: Vec<_> = lengths.iter().map(|length| { let range = (next, next + length - 1); next += length; range }).collect();
            prop_assert_eq!(breaks(&ranges), []);
            // Without the last one, the rest still adjoin.
            let left_out = left_out.index(ranges.len() - 1);
            let (first, last) = ranges.remove(left_out);
            prop_assert_eq!(breaks(&ranges), [Break::Hole { first, last, after: left_out }]);
        }
    }
}
