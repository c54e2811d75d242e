//! `Fn::Cidr`: equal blocks out of one.
