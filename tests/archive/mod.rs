//! The archive as operators and analysts use it, and over a real S3 server.

mod analysts;
mod operators;
mod s3;
