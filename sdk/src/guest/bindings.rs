//! The functions of the contract, generated from `wit/policy.wit`.
//!
//! There is a small world for what every policy exports and one for each kind, so that a component gets the
//! exports of its kind and no other: `export!` calls the macros of two of them. All use the types of this
//! crate where they have the same fields, so nothing is converted on the way.

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

/// What a placement policy exports besides.
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

/// What an eviction policy exports besides.
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

/// What a relocation policy exports besides.
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
