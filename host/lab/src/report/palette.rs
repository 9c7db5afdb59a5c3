//! The colours of the drawings, which colour-blind readers can tell apart, on light and on dark backgrounds.
//!
//! A drawing uses the light colours. Where it is shown on a dark background, style rules replace them by the dark
//! ones, so that a drawing needs no rules to look right on paper or in another program.

use plotters::style::RGBColor;

/// A colour, for light and for dark backgrounds.
struct Tone {
    light: RGBColor,
    dark: RGBColor,
}

const fn tone(light: (u8, u8, u8), dark: (u8, u8, u8)) -> Tone {
    Tone {
        light: RGBColor(light.0, light.1, light.2),
        dark: RGBColor(dark.0, dark.1, dark.2),
    }
}

/// The hues of Okabe and Ito ("Color universal design", 2008) and two more. Those too light for white paper are
/// darkened until their contrast with it is 3 to 1, and all are lightened for dark paper.
const LINES: [Tone; 8] = [
    tone((0x00, 0x72, 0xB2), (0x5A, 0xB0, 0xEC)),
    tone((0xD5, 0x5E, 0x00), (0xFF, 0x8F, 0x4A)),
    tone((0x00, 0x8F, 0x68), (0x35, 0xCB, 0xA0)),
    tone((0xB8, 0x55, 0x90), (0xE7, 0x9D, 0xC9)),
    tone((0xA8, 0x78, 0x00), (0xEE, 0xBB, 0x44)),
    tone((0x2C, 0x31, 0x38), (0xF4, 0xF5, 0xF7)),
    tone((0x6B, 0x55, 0xA8), (0xB7, 0xA3, 0xF0)),
    tone((0x6A, 0x70, 0x78), (0xB4, 0xBA, 0xC2)),
];
const INK: Tone = tone((0x1B, 0x1F, 0x24), (0xE8, 0xEA, 0xED));
const MUTED: Tone = tone((0x5A, 0x64, 0x6F), (0xA3, 0xAD, 0xB8));
const RULE: Tone = tone((0xDF, 0xE3, 0xE8), (0x38, 0x3F, 0x47));
const LINK: Tone = tone((0x8E, 0x99, 0xA5), (0x6C, 0x77, 0x83));
const PAPER: Tone = tone((0xFE, 0xFE, 0xFE), (0x16, 0x1A, 0x1F));

/// The colour of text.
pub(super) const INK_COLOUR: RGBColor = INK.light;
/// The colour of less important text and strokes.
pub(super) const MUTED_COLOUR: RGBColor = MUTED.light;
/// The colour of grid lines.
pub(super) const RULE_COLOUR: RGBColor = RULE.light;
/// The colour of links between nodes.
pub(super) const LINK_COLOUR: RGBColor = LINK.light;
/// The colour of the background.
pub(super) const PAPER_COLOUR: RGBColor = PAPER.light;
/// The number of lines that differ in colour and mark.
pub(super) const LINES_TOLD_APART: usize = LINES.len();

/// The colour of the line with this number; colours repeat after [`LINES_TOLD_APART`].
pub(super) const fn line_colour(number: usize) -> RGBColor {
    LINES[number % LINES.len()].light
}

/// A colour as plotters writes it, which the rules below search for.
fn written(colour: RGBColor) -> String {
    format!("#{:02X}{:02X}{:02X}", colour.0, colour.1, colour.2)
}

/// Style rules that make a drawing dark for readers who prefer that, except in print.
pub(super) fn dark_rules() -> String {
    let mut rules = String::from("@media screen and (prefers-color-scheme: dark){");
    for tone in LINES.iter().chain([&INK, &MUTED, &RULE, &LINK, &PAPER]) {
        let (light, dark) = (written(tone.light), written(tone.dark));
        rules.push_str(&format!(
            "svg [fill=\"{light}\"]{{fill:{dark}}}svg [stroke=\"{light}\"]{{stroke:{dark}}}"
        ));
    }
    rules.push('}');
    rules
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The contrast of two colours as the Web Content Accessibility Guidelines 2.2 define it.
    fn contrast(a: RGBColor, b: RGBColor) -> f64 {
        let part = |value: u8| {
            let value = f64::from(value) / 255.0;
            if value <= 0.04045 {
                value / 12.92
            } else {
                ((value + 0.055) / 1.055).powf(2.4)
            }
        };
        let light =
            |it: RGBColor| 0.2126 * part(it.0) + 0.7152 * part(it.1) + 0.0722 * part(it.2) + 0.05;
        let (a, b) = (light(a), light(b));
        f64::max(a, b) / f64::min(a, b)
    }

    #[test]
    fn lines_and_text_stand_out_from_both_papers() {
        for tone in &LINES {
            assert!(
                contrast(tone.light, PAPER.light) >= 3.0,
                "{}",
                written(tone.light)
            );
            assert!(
                contrast(tone.dark, PAPER.dark) >= 3.0,
                "{}",
                written(tone.dark)
            );
        }
        for tone in [INK, MUTED] {
            assert!(contrast(tone.light, PAPER.light) >= 4.5);
            assert!(contrast(tone.dark, PAPER.dark) >= 4.5);
        }
    }

    #[test]
    fn no_two_colours_are_the_same() {
        let all = LINES.iter().chain([&INK, &MUTED, &RULE, &LINK, &PAPER]);
        let different: std::collections::BTreeSet<String> =
            all.map(|it| written(it.light)).collect();
        assert_eq!(different.len(), LINES.len() + 5);
    }
}
