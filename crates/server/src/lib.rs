//! The program bursar, and the router to mount in a Rust program of your own.
