# Short names for what one does all day; `just --list` shows them. Everything here works without just as well.

# Everything that has to pass.
test *part:
    ./scripts/test {{ part }}

# Format, lint and the Rust tests.
fast:
    ./scripts/test fast

# The simulator, with new seeds until morning or for so many seconds.
sim-night seconds="28800":
    SIM_FRESH=1 SIM_SECONDS={{ seconds }} cargo test -p bursar-sim --test sim -- --nocapture

# Plants known bugs one at a time; the simulator has to find each.
sim-bugs:
    cargo test -p bursar-sim --features planted --test bugs -- --include-ignored --nocapture

# Bursar with the sandbox, ready to buy credits.
dev *args:
    cargo run --release -- dev {{ args }}

# New screenshots for the README.
screenshots:
    UPDATE_SCREENSHOTS=1 ./scripts/test browser

# The JSON Schema of the wire, derived from the installed npm package `stripe`.
schema:
    npm --prefix tests ci --ignore-scripts
    node tests/stripe-schema/derive.mjs

# Licences and known vulnerabilities of the dependencies; needs cargo-deny.
deny:
    cargo deny check
