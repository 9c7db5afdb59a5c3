//! The functions of the contract, generated from `wit/policy.wit`.
//!
//! There is one small world for what every policy exports and one for each kind, so that a component gets only the
//! exports of its kind: `export!` calls the macros of two of them. They use the types of this crate where these
//! have the same fields, so nothing has to be converted.

/// What every policy exports, and what it imports.
pub mod introduction {
    wit_bindgen::generate!({
        path: "wit",
        inline: "
            package dataverse:sdk;
            world introduction {
                import dataverse:policy/host@0.1.0;
                export dataverse:policy/policy@0.1.0;
            }
        ",
        world: "dataverse:sdk/introduction",
        with: {
            "dataverse:policy/host@0.1.0": generate,
            "dataverse:policy/host@0.1.0/level": crate::Level,
            "dataverse:policy/policy@0.1.0": generate,
        },
        pub_export_macro: true,
        export_macro_name: "export_introduction",
    });
}

/// The additional exports of a placement policy.
pub mod placement {
    wit_bindgen::generate!({
        path: "wit",
        inline: "
            package dataverse:sdk;
            world placement { export dataverse:policy/placement@0.1.0; }
        ",
        world: "dataverse:sdk/placement",
        with: {
            "dataverse:policy/types@0.1.0": crate::types,
            "dataverse:policy/placement@0.1.0": generate,
            "dataverse:policy/placement@0.1.0/request": crate::Request,
        },
        pub_export_macro: true,
        export_macro_name: "export_placement",
    });
}

/// The additional exports of an eviction policy.
pub mod eviction {
    wit_bindgen::generate!({
        path: "wit",
        inline: "
            package dataverse:sdk;
            world eviction { export dataverse:policy/eviction@0.1.0; }
        ",
        world: "dataverse:sdk/eviction",
        with: {
            "dataverse:policy/types@0.1.0": crate::types,
            "dataverse:policy/eviction@0.1.0": generate,
            "dataverse:policy/eviction@0.1.0/entry": crate::Entry,
            "dataverse:policy/eviction@0.1.0/admission": crate::Admission,
        },
        pub_export_macro: true,
        export_macro_name: "export_eviction",
    });
}

/// The additional exports of a relocation policy.
pub mod relocation {
    wit_bindgen::generate!({
        path: "wit",
        inline: "
            package dataverse:sdk;
            world relocation { export dataverse:policy/relocation@0.1.0; }
        ",
        world: "dataverse:sdk/relocation",
        with: {
            "dataverse:policy/types@0.1.0": crate::types,
            "dataverse:policy/relocation@0.1.0": generate,
            "dataverse:policy/relocation@0.1.0/read": crate::Read,
            "dataverse:policy/relocation@0.1.0/verdict": crate::Verdict,
        },
        pub_export_macro: true,
        export_macro_name: "export_relocation",
    });
}
