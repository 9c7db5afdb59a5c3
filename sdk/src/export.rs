//! `export!`: turns a policy into a component.

/// Exports a policy from the crate that calls it, once: `export!(eviction: Lru)`, or `placement:` or
/// `relocation:`.
///
/// For `wasm32` this generates the component's exports, with a single instance of the policy behind them. On any
/// other target it only checks that the type implements the trait of its kind, so that the same crate can be
/// tested with `cargo test`.
///
/// ```
/// use dataverse_sdk::{About, NoConfig, Read, RelocationPolicy, Verdict, about, export};
///
/// struct Never;
///
/// impl RelocationPolicy for Never {
///     type Config = NoConfig;
///
///     fn about() -> About {
///         about!("leaves everything where it is")
///     }
///
///     fn new(_: NoConfig, _: u64) -> Result<Self, String> {
///         Ok(Self)
///     }
///
///     fn on_read(&mut self, _: &Read) -> Verdict {
///         Verdict::default()
///     }
/// }
///
/// export!(relocation: Never);
/// ```
///
/// ```compile_fail
/// struct Nothing;
/// dataverse_sdk::export!(relocation: Nothing);
/// ```
#[macro_export]
macro_rules! export {
    (placement: $policy:ty) => {
        $crate::export_as!(
            $policy,
            $crate::PlacementPolicy,
            placement,
            export_placement
        );
    };
    (eviction: $policy:ty) => {
        $crate::export_as!($policy, $crate::EvictionPolicy, eviction, export_eviction);
    };
    (relocation: $policy:ty) => {
        $crate::export_as!(
            $policy,
            $crate::RelocationPolicy,
            relocation,
            export_relocation
        );
    };
}

/// The expansion of [`export!`] on targets without components.
#[cfg(not(target_arch = "wasm32"))]
#[doc(hidden)]
#[macro_export]
macro_rules! export_as {
    ($policy:ty, $kind:path, $world:ident, $export:ident) => {
        const _: () = {
            const fn implements<P: $kind>() {}
            implements::<$policy>()
        };
    };
}

/// The expansion of [`export!`] on `wasm32`: a place for the policy's instance, and the exports of its kind.
#[cfg(target_arch = "wasm32")]
#[doc(hidden)]
#[macro_export]
macro_rules! export_as {
    ($policy:ty, $kind:path, $world:ident, $export:ident) => {
        const _: () = {
            thread_local! {
                static INSTANCE: $crate::guest::Instance<$policy> =
                    const { $crate::guest::Instance::new(None) };
            }

            struct Seat;

            impl $crate::guest::Seat for Seat {
                type Policy = $policy;

                fn about() -> $crate::About {
                    <$policy as $kind>::about()
                }

                fn make(config: &str, seed: u64) -> Result<$policy, String> {
                    <$policy as $kind>::new($crate::parse_config(config)?, seed)
                }

                fn lend<R>(ask: impl FnOnce(&$crate::guest::Instance<$policy>) -> R) -> R {
                    INSTANCE.with(ask)
                }
            }

            $crate::guest::bindings::introduction::export_introduction!(
                Seat with_types_in $crate::guest::bindings::introduction
            );
            $crate::guest::bindings::$world::$export!(
                Seat with_types_in $crate::guest::bindings::$world
            );
        };
    };
}
