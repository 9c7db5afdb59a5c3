//! The one macro that makes a component of a policy.

/// Exports a policy from the crate that it is called in, once: `export!(eviction: Lru)`, or `placement:` or
/// `relocation:`.
///
/// For `wasm32` this makes the component's exports, with a single instance of the policy behind them. For
/// any other machine it only checks that the type implements the trait of its kind, so that the same crate is
/// tested with `cargo test`.
#[macro_export]
macro_rules! export {
    (placement: $policy:ty) => {
        const _: () = $crate::export::implements_placement::<$policy>();
    };
    (eviction: $policy:ty) => {
        const _: () = $crate::export::implements_eviction::<$policy>();
    };
    (relocation: $policy:ty) => {
        const _: () = $crate::export::implements_relocation::<$policy>();
    };
}

/// Compiles when the type is a placement policy.
pub const fn implements_placement<P: crate::PlacementPolicy>() {}

/// Compiles when the type is an eviction policy.
pub const fn implements_eviction<P: crate::EvictionPolicy>() {}

/// Compiles when the type is a relocation policy.
pub const fn implements_relocation<P: crate::RelocationPolicy>() {}
