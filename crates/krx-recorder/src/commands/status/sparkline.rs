//! Draws a day as one line of blocks. Pure.

use std::ops::Range;

const LEVELS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// Divides `minutes` into `columns` stretches and draws the highest minute of each as a block; an empty stretch is
/// blank.
pub(super) fn blocks(minutes: &[u32], columns: usize) -> String {
    let peak = minutes.iter().copied().max().unwrap_or(0);
    let block = |column: usize| {
        let highest = minutes[stretch(minutes.len(), columns, column)]
            .iter()
            .copied()
            .max();
        match highest.unwrap_or(0) {
            0 => ' ',
            records => {
                let level = (u64::from(records) * LEVELS.len() as u64).div_ceil(u64::from(peak));
                LEVELS[usize::try_from(level)
                    .map_or(0, |level| level - 1)
                    .min(LEVELS.len() - 1)]
            }
        }
    };
    (0..columns).map(block).collect()
}

/// Draws a mark in each column that overlaps one of the `marked` ranges.
pub(super) fn marks(marked: &[Range<usize>], minutes: usize, columns: usize) -> String {
    let mark = |column: usize| {
        let here = stretch(minutes, columns, column);
        let is = marked
            .iter()
            .any(|range| range.start < here.end && here.start < range.end);
        if is { '×' } else { ' ' }
    };
    (0..columns).map(mark).collect()
}

/// The minutes in a column, at least one.
fn stretch(minutes: usize, columns: usize, column: usize) -> Range<usize> {
    let from = column * minutes / columns;
    let to = (column + 1) * minutes / columns;
    from.min(minutes)..to.max(from + 1).min(minutes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_block_shows_the_highest_minute_of_its_column() {
        assert_eq!(blocks(&[0, 1, 40, 80, 10, 0], 6), " ▁▄█▁ ");
        assert_eq!(blocks(&[0, 1, 40, 80, 10, 0], 3), "▁█▁");
        assert_eq!(blocks(&[8, 4], 4), "██▄▄");
        assert_eq!(blocks(&[], 3), "   ");
        assert_eq!(blocks(&[0; 60], 5), "     ");
        assert_eq!(blocks(&[u32::MAX; 2], 2), "██");
    }

    #[test]
    fn a_column_with_a_gap_is_marked() {
        assert_eq!(marks(&[0..1, 30..31], 60, 6), "×  ×  ");
        assert_eq!(marks(&[], 60, 3), "   ");
        assert_eq!(marks(&[59..60, 58..59], 60, 6), "     ×");
    }
}
