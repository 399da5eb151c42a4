use std::sync::LazyLock;

use bursar_stripe::signature::{
    MAX_HEADER_BYTES, MAX_SIGNATURES, Secret, TOLERANCE_SECONDS, sign, verify,
};

use crate::halves;

/// The time of the check, in seconds.
const NOW: i64 = 1_800_000_000;

static SECRETS: LazyLock<[Secret; 2]> = LazyLock::new(|| {
    [
        "whsec_the_first_secret_of_this_test",
        "whsec_the_other_one_of_two",
    ]
    .map(|text| Secret::new(text).expect("a secret"))
});

/// A header and a body. In the header `{0}` and `{1}` stand for the digests of the body at [`NOW`] under two secrets, so that a change of
/// the bytes can find what is let through. Whatever is let through, a second check, written plainly, lets through too; and the reverse.
pub fn signature_header(bytes: &[u8]) {
    let (header, body) = halves(bytes);
    let header = filled_in(header, body);
    let taken = verify(&header, body, &*SECRETS, NOW, TOLERANCE_SECONDS).is_ok();
    assert_eq!(taken, is_signed(&header, body), "the two checks differ");

    let genuine = sign(&SECRETS[0], NOW, bytes);
    let check = |body: &[u8]| verify(genuine.as_bytes(), body, &*SECRETS, NOW, TOLERANCE_SECONDS);
    assert_eq!(check(bytes), Ok(()), "what is signed is let through");
    let longer = [bytes, b" "].concat();
    assert!(check(&longer).is_err(), "another body is not");
}

fn digest(secret: &Secret, unix: i64, body: &[u8]) -> String {
    let header = sign(secret, unix, body);
    header.rsplit("v1=").next().unwrap_or_default().to_owned()
}

fn filled_in(header: &[u8], body: &[u8]) -> Vec<u8> {
    let mut filled = Vec::with_capacity(header.len());
    let mut rest = header;
    while let Some(first) = rest.first() {
        let place = [&b"{0}"[..], b"{1}"]
            .iter()
            .position(|name| rest.starts_with(name));
        if let Some(secret) = place {
            filled.extend(digest(&SECRETS[secret], NOW, body).bytes());
            rest = &rest[3..];
        } else {
            filled.push(*first);
            rest = &rest[1..];
        }
    }
    filled
}

/// The rule once more, as it would be written on paper.
fn is_signed(header: &[u8], body: &[u8]) -> bool {
    if header.len() > MAX_HEADER_BYTES {
        return false;
    }
    let items: Vec<&[u8]> = header.split(|byte| *byte == b',').collect();
    let of = |name: &[u8]| -> Vec<Vec<u8>> {
        let values = items.iter().filter_map(|item| item.strip_prefix(name));
        values.map(<[u8]>::to_vec).collect()
    };
    let (times, signatures) = (of(b"t="), of(b"v1="));
    let [time] = times.as_slice() else {
        return false;
    };
    let unix = std::str::from_utf8(time)
        .ok()
        .and_then(|text| text.parse::<i64>().ok());
    // Written back it must be the same text: no sign, no zeros in front.
    let Some(unix) =
        unix.filter(|unix| *unix >= 0 && unix.to_string().as_bytes() == time.as_slice())
    else {
        return false;
    };
    let fits = |secret: &Secret| signatures.contains(&digest(secret, unix, body).into_bytes());
    signatures.len() <= MAX_SIGNATURES
        && SECRETS.iter().any(fits)
        && unix.abs_diff(NOW) <= TOLERANCE_SECONDS.unsigned_abs()
}
