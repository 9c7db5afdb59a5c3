//! Tests of the folder of an authority: who gets a certificate and who does not.

use super::*;
use crate::joining::NodeKey;

const NOW: Seconds = 1_000_000;

struct Place {
    authority: AuthorityFolder,
    _folder: tempfile::TempDir,
}

fn place() -> Place {
    let folder = tempfile::tempdir().expect("a folder");
    let authority = AuthorityFolder::create(&folder.path().join("a"), "home", NOW);
    Place {
        authority: authority.expect("it is created"),
        _folder: folder,
    }
}

fn terms(uses: u32) -> Terms {
    Terms {
        name: None,
        zone: None,
        valid_s: 60,
        uses,
    }
}

fn request(node: u128, key: &NodeKey) -> JoinRequest {
    JoinRequest::new(NodeId::from(node), "A", key).expect("a request")
}

fn key() -> NodeKey {
    NodeKey::generate().expect("a key")
}

#[test]
fn an_authority_is_made_once_and_found_again() {
    let place = place();
    let root = place.authority.folder.path("");
    let again = AuthorityFolder::create(&root, "home", NOW);
    assert!(matches!(again, Err(AuthorityError::Exists(_))));
    let opened = AuthorityFolder::open(&root).expect("it is there");
    let authority = opened.authority().expect("it has a key");
    assert_eq!(authority.certificate().network(), "home");
    let absent = AuthorityFolder::open(&root.join("none"));
    assert!(matches!(absent, Err(AuthorityError::Absent(_))));
}

#[test]
fn a_ticket_is_used_once_and_answered_again_for_the_same_key() {
    let Place { authority, .. } = &place();
    let secret = authority.invite(terms(1), NOW).expect("it invites");
    let (a, b) = (key(), key());
    let issued = authority
        .enrol(&secret, &request(1, &a), NOW)
        .expect("it is issued");
    let said = NodeCertificate::parse(&issued.certificate).expect("that of a node");
    assert_eq!((said.node, said.key), (NodeId::from(1), a.fingerprint()));
    assert_eq!(said.not_after, NOW + limits::CERTIFICATE_VALID_S);
    authority
        .enrol(&secret, &request(1, &a), NOW + 1)
        .expect("its answer was lost");
    let refused = authority.enrol(&secret, &request(2, &b), NOW);
    assert!(matches!(
        refused,
        Err(IssueError::Invitation(InvitationError::Used))
    ));
    let refused = authority.enrol(&secret, &request(1, &a), NOW + 60);
    assert!(matches!(
        refused,
        Err(IssueError::Invitation(InvitationError::Expired))
    ));
    let unknown = TicketSecret::draw().expect("a secret");
    let refused = authority.enrol(&unknown, &request(1, &a), NOW);
    assert!(matches!(
        refused,
        Err(IssueError::Invitation(InvitationError::Unknown))
    ));
}

#[test]
fn the_secret_is_not_in_the_folder() {
    let Place { authority, .. } = &place();
    let secret = authority.invite(terms(1), NOW).expect("it invites");
    let text = authority
        .read(&invitation_name(&secret))
        .expect("it is kept");
    let hex = data_encoding::HEXLOWER.encode(secret.as_bytes());
    assert!(!text.contains(&hex) && !invitation_name(&secret).contains(&hex));
}

#[test]
fn nobody_gets_the_id_of_another_node() {
    let Place { authority, .. } = &place();
    let secret = authority.invite(terms(9), NOW).expect("it invites");
    let (a, b) = (key(), key());
    authority
        .enrol(&secret, &request(1, &a), NOW)
        .expect("it is issued");
    let refused = authority.enrol(&secret, &request(1, &b), NOW);
    assert!(matches!(refused, Err(IssueError::Taken(_))));
    let refused = authority.renew(&request(1, &b), NOW);
    assert!(matches!(refused, Err(IssueError::Taken(_))));
    let refused = authority.renew(&request(2, &b), NOW);
    assert!(matches!(refused, Err(IssueError::Unknown(_))));
    authority
        .renew(&request(1, &a), NOW)
        .expect("it is its own");
}

#[test]
fn an_invitation_names_the_machine_and_its_zone() {
    let Place { authority, .. } = &place();
    let named = Terms {
        name: Some("attic".to_owned()),
        zone: Some("home".to_owned()),
        ..terms(1)
    };
    let secret = authority.invite(named, NOW).expect("it invites");
    let issued = authority
        .enrol(&secret, &request(1, &key()), NOW)
        .expect("it is issued");
    let said = NodeCertificate::parse(&issued.certificate).expect("that of a node");
    assert_eq!(
        (&*said.name, issued.zone.as_deref()),
        ("attic", Some("home"))
    );
    for wrong in [
        Terms {
            uses: 0,
            ..terms(1)
        },
        Terms {
            valid_s: 0,
            ..terms(1)
        },
        Terms {
            name: Some("a b".to_owned()),
            ..terms(1)
        },
        Terms {
            name: Some("a".to_owned()),
            ..terms(2)
        },
    ] {
        let refused = authority.invite(wrong.clone(), NOW);
        assert!(
            matches!(refused, Err(AuthorityError::Bound(_))),
            "{wrong:?}"
        );
    }
}

#[test]
fn a_revoked_node_gets_no_certificate_any_more() {
    let Place { authority, .. } = &place();
    let secret = authority.invite(terms(9), NOW).expect("it invites");
    let (a, b) = (key(), key());
    authority
        .enrol(&secret, &request(1, &a), NOW)
        .expect("it is issued");
    let revoked = authority.revoke("A", NOW).expect("it is known");
    assert_eq!(revoked, (NodeId::from(1), true));
    let again = authority.revoke("A", NOW).expect("it is known");
    assert_eq!(again, (NodeId::from(1), false));
    for refused in [
        authority.renew(&request(1, &a), NOW),
        authority.enrol(&secret, &request(1, &a), NOW),
        authority.issue_own(&request(1, &a), NOW),
    ] {
        assert!(
            matches!(refused, Err(IssueError::Revoked(_))),
            "{refused:?}"
        );
    }
    // The machine comes back with a fresh folder and its old name, which is then the new node's.
    authority
        .enrol(&secret, &request(2, &b), NOW)
        .expect("it is issued");
    assert_eq!(
        authority.revoke("A", NOW).expect("it is known").0,
        NodeId::from(2)
    );
    let unknown = authority.revoke("B", NOW);
    assert!(matches!(unknown, Err(AuthorityError::Node(_))));
}

#[test]
fn a_rotated_authority_signs_with_its_new_key_and_keeps_what_was_revoked() {
    let Place { authority, .. } = &place();
    let old = authority.trust().expect("it is read");
    authority
        .revoke(&NodeId::from(9).to_string(), NOW)
        .expect("an id is enough");
    let new = authority.rotate(60, NOW).expect("it is rotated");
    let issued = authority
        .issue_own(&request(1, &key()), NOW)
        .expect("it is issued");
    assert_eq!((new.generation(), &issued.authority), (2, &new));
    assert!(
        authority
            .folder
            .read(&key_name(1))
            .expect("it can be read")
            .is_none()
    );
    let mut told = old.clone();
    assert!(told.learn(&issued.statements, NOW));
    assert_eq!(
        (told.newest(), told.is_revoked(NodeId::from(9))),
        (&new, true)
    );
    let mut late = Trust::new(new);
    assert!(late.learn(&issued.statements, NOW + 61));
    assert!(late.is_revoked(NodeId::from(9)));
}
