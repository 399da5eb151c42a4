//! Keeps card numbers out of free text: whoever stores one has to answer for it under PCI DSS, and nobody here needs one.

/// The fewest digits a card number has.
const DIGITS_MIN: usize = 13;

/// The most digits a card number has.
const DIGITS_MAX: usize = 19;

/// Whether `text` holds what is almost certainly a card number: digits in a length and with a beginning that a card scheme
/// uses (ISO/IEC 7812), in one piece or in groups, whose check digit is right. Other groups may stand before and behind it:
/// people write the expiry date next to the number.
pub fn is_in(text: &str) -> bool {
    if text.bytes().filter(u8::is_ascii_digit).count() < DIGITS_MIN {
        return false;
    }
    let mut groups: Vec<Vec<u8>> = vec![vec![]];
    for byte in text.bytes().chain([b'.']) {
        let is_in_group = groups.last().is_some_and(|group| !group.is_empty());
        match byte {
            b'0'..=b'9' => groups
                .last_mut()
                .into_iter()
                .for_each(|group| group.push(byte - b'0')),
            b' ' | b'-' if is_in_group => groups.push(vec![]),
            _ => {
                if (0..groups.len()).any(|first| begins_card_number(&groups[first..])) {
                    return true;
                }
                groups = vec![vec![]];
            }
        }
    }
    false
}

fn begins_card_number(groups: &[Vec<u8>]) -> bool {
    let mut digits = Vec::new();
    groups.iter().take(DIGITS_MAX).any(|group| {
        digits.extend_from_slice(group);
        digits.len() <= DIGITS_MAX && is_card_number(&digits)
    })
}

fn is_card_number(digits: &[u8]) -> bool {
    let scheme_has_it = matches!(
        (digits.first(), digits.len()),
        (Some(4), 13 | 16 | 19) | (Some(2 | 5), 16) | (Some(3), 14..=16) | (Some(6), 16..=19)
    );
    scheme_has_it && passes_luhn(digits)
}

/// The check of ISO/IEC 7812-1, annex B.
fn passes_luhn(digits: &[u8]) -> bool {
    let sum: u32 = digits
        .iter()
        .rev()
        .enumerate()
        .map(|(place, digit)| {
            let doubled = u32::from(*digit) << (place % 2);
            if doubled > 9 { doubled - 9 } else { doubled }
        })
        .sum();
    sum.is_multiple_of(10)
}

#[cfg(test)]
mod tests {
    use super::is_in;

    #[test]
    fn is_found_in_one_piece_and_in_groups() {
        for text in [
            "4242424242424242",
            "card 4242 4242 4242 4242!",
            "4000-0000-0000-0002",
            "378282246310005",
            r#"{"n":5555555555554444}"#,
            "6011 1111 1111 1117",
            "4242 4242 4242 4242 12/28 123",
            "4242424242424242 1228",
            "order 17 4000-0000-0000-0002",
        ] {
            assert!(is_in(text), "{text}");
        }
    }

    #[test]
    fn other_numbers_are_left_alone() {
        for text in [
            "",
            "order 4242",
            "4242424242424241",
            "1763712000000000",
            "2026-11-21 09:21:05",
            "+1 555 555 5555",
            "42424242424242424242424242424242",
            "invoice 4242  4242  4242  4242",
        ] {
            assert!(!is_in(text), "{text}");
        }
    }
}
