//! Conditional writes: decided once, whichever nodes are asked.

use futures_util::future::join_all;
use reqwest::{RequestBuilder, StatusCode};
use serde_json::Value;

#[path = "../../examples/counter.rs"]
mod counter;
#[path = "../../examples/leader.rs"]
mod leader;
#[path = "../../examples/lock.rs"]
mod lock;

use crate::cli::run;
use crate::world::{Node, all_read, eventually, network, sent};

const REFUSED: StatusCode = StatusCode::PRECONDITION_FAILED;

fn tag_of(content: &[u8]) -> String {
    format!("\"{}\"", blake3::hash(content).to_hex())
}

fn create(node: &Node, key: &str, content: String) -> RequestBuilder {
    node.put(key, content).header("If-None-Match", "*")
}

fn replace(node: &Node, key: &str, old: &[u8], new: String) -> RequestBuilder {
    node.put(key, new).header("If-Match", tag_of(old))
}

/// Three nodes in a line, which wait for each other however slow the machine is.
async fn three() -> Vec<Node> {
    let patient = [
        "--set",
        "search.probe_deadline=20s",
        "--set",
        "write.deadline=60s",
    ];
    network(3, &[(0, 1), (1, 2)], &patient).await
}

async fn statuses(requests: Vec<RequestBuilder>) -> Vec<StatusCode> {
    let answers = requests.into_iter().map(sent);
    let answers = join_all(answers).await;
    answers.iter().map(reqwest::Response::status).collect()
}

/// The one that did not get 412; there must be exactly one.
fn winner(statuses: &[StatusCode], won: StatusCode) -> usize {
    let mut winners = (0..statuses.len()).filter(|at| statuses[*at] == won);
    let winner = winners.next();
    let refused = statuses.iter().filter(|status| **status == REFUSED);
    assert_eq!(refused.count() + 1, statuses.len(), "{statuses:?}");
    winner.unwrap_or_else(|| panic!("nobody won: {statuses:?}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn of_writers_who_race_exactly_one_wins() {
    let nodes = three().await;
    for round in 0..8 {
        let key = format!("ada/lock-{round}");
        let at = |client: usize| match round % 2 {
            0 => &nodes[0],
            _ => &nodes[client % 3],
        };
        let text = |client: usize| format!("{round} {client}");
        let requests = (0..6).map(|client| create(at(client), &key, text(client)));
        let won = winner(&statuses(requests.collect()).await, StatusCode::CREATED);
        let content = text(won).into_bytes();
        all_read(&nodes, &key, Some(&content), "after it was created").await;

        let text = |client: usize| format!("{round} {client} again");
        let requests = (0..6).map(|client| replace(at(client), &key, &content, text(client)));
        let won = winner(&statuses(requests.collect()).await, StatusCode::OK);
        let content = text(won).into_bytes();

        // One deletes it and others replace it.
        let mut requests: Vec<_> = (0..4)
            .map(|client| replace(at(client), &key, &content, format!("late {client}")))
            .collect();
        let delete = nodes[round % 3].delete(&key);
        requests.push(delete.header("If-Match", tag_of(&content)));
        let answers = statuses(requests).await;
        let done = answers.iter().filter(|status| status.is_success()).count();
        assert_eq!(done, 1, "{answers:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn those_who_create_the_same_content_at_once_do_not_all_win() {
    let nodes = three().await;
    for round in 0..5 {
        let key = format!("ada/same-{round}");
        let requests = (0..6).map(|client| create(&nodes[client % 3], &key, "mine".to_owned()));
        let answers = statuses(requests.collect()).await;
        let created = answers.iter().filter(|it| **it == StatusCode::CREATED);
        assert_eq!(created.count(), 1, "{answers:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_increment_is_lost() {
    let nodes = three().await;
    nodes[0].store("ada/counter", "0").await;
    let counts = (0..5).map(|client| {
        let node = &nodes[client % 3];
        async move {
            let mut added = 0;
            while added < 4 {
                let read = sent(node.get("ada/counter?consistency=newest")).await;
                let status = read.status();
                let old = read.bytes().await.expect("it arrives").to_vec();
                if status == StatusCode::SERVICE_UNAVAILABLE {
                    // On a busy machine it may be replaced again and again while it is read.
                    continue;
                }
                assert_eq!(status, StatusCode::OK, "{}", String::from_utf8_lossy(&old));
                let text = String::from_utf8(old.clone()).expect("it is a number");
                let next = text.parse::<u64>().expect("it is a number") + 1;
                let put = sent(replace(node, "ada/counter", &old, next.to_string())).await;
                match put.status() {
                    StatusCode::OK => added += 1,
                    REFUSED => {}
                    other => panic!("{other}: {:?}", put.text().await),
                }
            }
        }
    });
    join_all(counts).await;
    let newest = sent(nodes[1].get("ada/counter?consistency=newest")).await;
    assert_eq!(newest.bytes().await.expect("it arrives"), "20");
}

#[tokio::test(flavor = "multi_thread")]
async fn where_a_node_does_not_answer_nothing_is_written() {
    let mut nodes = network(4, &[(0, 1), (0, 2), (0, 3)], &[]).await;
    nodes[0].store("ada/x", "one").await;
    let dead = nodes.pop().expect("there are four");
    let name = dead.name.clone();
    drop(dead);
    let requests = || {
        let delete = nodes[0].delete("ada/x").header("If-Match", tag_of(b"one"));
        vec![
            create(&nodes[0], "ada/new", "new".to_owned()),
            replace(&nodes[1], "ada/x", b"one", "two".to_owned()),
            delete,
        ]
    };
    for request in requests() {
        let refused = sent(request).await;
        assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
        let problem: Value = refused.json().await.expect("it is JSON");
        let detail = problem["detail"].as_str().expect("it is text");
        assert!(
            detail.contains(&name) && detail.contains("nothing was written"),
            "{detail}"
        );
    }
    assert_eq!(nodes[2].read("ada/x").await.body, b"one");
    // Unconditional writes go on.
    nodes[0].store("ada/other", "x").await;
    let cut = run(&nodes[0], &["unlink", &name]);
    assert!(cut.status.success(), "{cut:?}");
    eventually("the others decide without it", async || {
        let created = create(&nodes[0], "ada/new", "new".to_owned());
        sent(created).await.status().is_success()
    })
    .await;
    assert_eq!(nodes[2].read("ada/new").await.body, b"new");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_line_has_conditions() {
    let node = Node::start("A", &[]);
    let file = |name: &str, text: &str| {
        let path = node.path().join(name);
        std::fs::write(&path, text).expect("it can be written");
        path.to_str().expect("it is UTF-8").to_owned()
    };
    let (one, two) = (file("one", "one"), file("two", "two"));
    let put = |file: &str, with: &[&str]| {
        let arguments = ["put", file, "--user", "ada", "--as", "x"];
        run(&node, &[&arguments[..], with].concat())
    };
    assert!(put(&one, &["--if-absent"]).status.success());
    let refused = put(&two, &["--if-absent"]);
    assert_eq!(refused.status.code(), Some(1));
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(said.contains("ada/x already exists"), "{said}");
    let digest = blake3::hash(b"one").to_hex();
    assert!(put(&two, &["--if-digest", &digest]).status.success());
    assert_eq!(put(&one, &["--if-digest", &digest]).status.code(), Some(1));
    assert_eq!(put(&one, &["--if-digest", "12"]).status.code(), Some(2));
    let rm = |digest: &str| run(&node, &["rm", "ada/x", "--if-digest", digest]);
    assert_eq!(rm(&digest).status.code(), Some(1));
    assert!(rm(&blake3::hash(b"two").to_hex()).status.success());
    assert_eq!(rm(&digest).status.code(), Some(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_examples_lock_count_and_elect() {
    let nodes = three().await;
    let base = |at: usize| nodes[at % 3].url("");
    let client = reqwest::Client::new();
    let sums = (0..9).map(|at| {
        let (client, base) = (client.clone(), base(at));
        async move {
            let sum = counter::add_one(&client, &base, "ada/visits").await;
            sum.expect("the node answers")
        }
    });
    let mut sums = join_all(sums).await;
    sums.sort_unstable();
    assert_eq!(sums, (1..=9).collect::<Vec<u64>>());

    let take = |at: usize| {
        let (client, base, word) = (client.clone(), base(at), format!("word {at}"));
        async move {
            let taken = lock::take(&client, &base, "ada/lock", &word).await;
            taken.expect("the node answers")
        }
    };
    let held = join_all((0..6).map(take)).await;
    let winners: Vec<usize> = (0..6).filter(|at| held[*at].is_some()).collect();
    assert_eq!(winners.len(), 1, "one has the lock");
    assert!(take(winners[0] + 1).await.is_none());
    // Its holder asks again, and has it still.
    let mine = take(winners[0]).await.expect("it is its own");
    assert!(mine.give_back(&client).await.expect("the node answers"));
    let next = take(7).await.expect("it is free again");
    nodes[0]
        .delete("ada/lock")
        .send()
        .await
        .expect("the node answers");
    assert!(!next.give_back(&client).await.expect("the node answers"));

    let lease = std::time::Duration::from_secs(6);
    let candidate =
        |at: usize, name: &str| leader::Candidate::new(&base(at), "ada/leader", name, lease);
    let (mut anna, mut bert) = (candidate(0, "Anna"), candidate(1, "Bert"));
    let both = tokio::join!(anna.turn(), bert.turn());
    let first = [both.0, both.1].map(|turn| turn.expect("the node answers"));
    assert_eq!(
        [anna.leads(), bert.leads()]
            .iter()
            .filter(|leads| **leads)
            .count(),
        1,
        "{first:?}"
    );
    let (first, second) = match anna.leads() {
        true => (&mut anna, &mut bert),
        false => (&mut bert, &mut anna),
    };
    // The leader stops renewing its lease; the other one takes over, and only then.
    eventually("the other one leads", async || {
        second.turn().await.expect("the node answers");
        assert!(!(first.leads() && second.leads()), "two lead");
        second.leads()
    })
    .await;
    let term = first
        .turn()
        .await
        .expect("the node answers")
        .expect("somebody leads");
    assert_eq!((term.number, first.leads()), (2, false));
}
