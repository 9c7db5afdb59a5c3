//! Computes the measures of a run from the tally and the final state.

use super::histogram::Histogram;
use super::simulation::SimulatedNetwork;
use super::slot::Spent;
use super::tally::Window;
use crate::measures::{LinkLoad, Measures, NetworkLoad, NodeLoad, Series};

/// The number of points of a curve.
const POINTS: usize = 200;

/// Numbers by name; numbers that don't apply are left out.
struct Numbers(Measures);

impl Numbers {
    fn put(&mut self, name: &str, number: impl Into<Option<f64>>) {
        if let Some(number) = number.into().filter(|number| number.is_finite()) {
            self.0.numbers.insert(name.to_owned(), number);
        }
    }

    fn draw(&mut self, name: &str, axes: (&str, &str), points: Vec<(f64, f64)>) {
        if points.is_empty() {
            return;
        }
        let series = Series {
            x_axis: axes.0.to_owned(),
            y_axis: axes.1.to_owned(),
            points,
        };
        self.0.series.insert(name.to_owned(), series);
    }

    fn spread(&mut self, name: &str, of: &[f64]) {
        let mean = of.iter().sum::<f64>() / of.len() as f64;
        let squares = of.iter().map(|it| (it - mean) * (it - mean)).sum::<f64>();
        let most = of.iter().copied().fold(0.0, f64::max);
        self.put(&format!("{name}_max_over_mean"), ratio(most, mean));
        let deviation = libm::sqrt(squares / of.len() as f64);
        self.put(&format!("{name}_cv"), ratio(deviation, mean));
    }
}

fn ratio(part: f64, whole: f64) -> Option<f64> {
    (whole > 0.0).then(|| part / whole)
}

impl SimulatedNetwork<'_> {
    /// The measures of the run.
    pub(super) fn finish(self) -> Measures {
        let mut numbers = Numbers(Measures::default());
        self.put_reads(&mut numbers);
        self.put_costs(&mut numbers);
        self.put_balance(&mut numbers);
        self.put_files(&mut numbers);
        self.put_decisions(&mut numbers);
        self.draw_time(&mut numbers);
        numbers.0.network = self.network_load();
        numbers.0
    }

    fn put_reads(&self, to: &mut Numbers) {
        let counts = &self.tally.counts;
        let of_reads = |count: u64| ratio(count as f64, counts.reads as f64);
        to.put("reads", counts.reads as f64);
        to.put("hit_ratio", of_reads(counts.hits));
        to.put(
            "byte_hit_ratio",
            ratio(counts.hit_bytes as f64, counts.read_bytes as f64),
        );
        to.put("compulsory_ratio", of_reads(counts.compulsory));
        let not_first = (counts.reads - counts.compulsory) as f64;
        to.put(
            "hit_ratio_without_compulsory",
            ratio(counts.hits as f64, not_first),
        );
        to.put("cached_ratio", of_reads(counts.by_cached));
        to.put("unavailable_ratio", of_reads(counts.unavailable));
        to.put("outdated_ratio", of_reads(counts.outdated));
        let quantile = |of: &Histogram, share| of.quantile(share).map(|it| it as f64);
        to.put("hops_mean", counts.hops.mean());
        to.put("hops_p50", quantile(&counts.hops, 0.5));
        to.put("hops_p99", quantile(&counts.hops, 0.99));
        to.put(
            "stretch",
            ratio(counts.taken as f64, counts.to_replica as f64),
        );
        let latency = &counts.latency_us;
        to.put("latency_ms_mean", latency.mean().map(|us| us / 1e3));
        to.put("latency_ms_p50", quantile(latency, 0.5).map(|us| us / 1e3));
        to.put("latency_ms_p99", quantile(latency, 0.99).map(|us| us / 1e3));
        let searches = counts.searches as f64;
        to.put("probes_per_search", ratio(counts.probes as f64, searches));
        to.put(
            "search_ms_mean",
            ratio(counts.search_us as f64 / 1e3, searches),
        );
        let curve = |of: &Histogram, scale: f64| -> Vec<(f64, f64)> {
            let points = of.cumulative(POINTS).into_iter();
            points
                .map(|(number, share)| (number as f64 / scale, share))
                .collect()
        };
        to.draw(
            "hops_cdf",
            ("hops", "share of reads"),
            curve(&counts.hops, 1.0),
        );
        to.draw(
            "latency_cdf",
            ("latency (ms)", "share of reads"),
            curve(latency, 1e3),
        );
    }

    fn put_costs(&self, to: &mut Numbers) {
        let counts = &self.tally.counts;
        let over_links = counts.link_bytes.iter().sum::<u64>() as f64;
        to.put("link_bytes", over_links);
        to.put(
            "link_bytes_per_read",
            ratio(over_links, counts.reads as f64),
        );
        let busiest = counts.link_bytes.iter().max().copied();
        to.put("busiest_link_bytes", busiest.map(|bytes| bytes as f64));
        to.put("relocated_bytes", counts.relocated_bytes as f64);
        to.put("copies_made", counts.copies as f64);
        to.put("evictions", counts.evictions as f64);
        to.put("moves", counts.moves as f64);
        if self.was_apart {
            to.put("repaired_bytes", counts.repaired_bytes as f64);
        }
        if counts.writes > 0 {
            let of_writes = |count: u64| ratio(count as f64, counts.writes as f64);
            to.put("writes_refused_ratio", of_writes(counts.writes_refused));
            to.put("writes_degraded_ratio", of_writes(counts.writes_degraded));
        }
        if !self.scenario.events.is_empty() {
            to.put("events_missed", self.tally.events_missed as f64);
        }
        let not_carried_out = counts.absent + counts.not_asked;
        to.put("passed_over", not_carried_out as f64);
    }

    fn put_balance(&self, to: &mut Numbers) {
        let alive: Vec<usize> = self.alive().collect();
        let served = |node: &usize| *self.tally.counts.served.get(*node).unwrap_or(&0) as f64;
        let served: Vec<f64> = alive.iter().map(served).collect();
        let stored = |node: &usize| self.sites[*node].core.replicas().bytes as f64;
        let stored: Vec<f64> = alive.iter().map(stored).collect();
        to.spread("served", &served);
        to.spread("stored", &stored);
        let all = served.iter().sum::<f64>();
        let mut shares: Vec<f64> = served.iter().filter_map(|it| ratio(*it, all)).collect();
        shares.sort_by(|a, b| b.total_cmp(a));
        let points = (1..)
            .zip(shares)
            .map(|(rank, share): (u32, f64)| (f64::from(rank), share));
        let axes = ("node, busiest first", "share of the reads answered");
        to.draw("served_by_node", axes, points.collect());
    }

    fn alive(&self) -> impl Iterator<Item = usize> {
        (0..self.sites.len()).filter(|&node| self.routes.is_alive(node as u32))
    }

    /// The numbers of replicas and cached copies of a file on nodes that are up.
    fn copies_of(&self, file: u32) -> (u64, u64) {
        let known = &self.files[file as usize];
        let mut counted = (0, 0);
        for &node in known
            .copies
            .iter()
            .filter(|&&node| self.routes.is_alive(node))
        {
            let held = self.sites[node as usize].core.holding(&known.key);
            match held.map(|held| held.role) {
                Some(dataverse_core::holdings::Role::Replica) => counted.0 += 1,
                Some(dataverse_core::holdings::Role::Cached) => counted.1 += 1,
                None => {}
            }
        }
        counted
    }

    fn put_files(&self, to: &mut Numbers) {
        let asked = |file: u32| *self.tally.counts.asked_for.get(file as usize).unwrap_or(&0);
        let there = (0..self.files.len() as u32).filter(|&file| self.files[file as usize].exists());
        let mut files: Vec<(u64, u64, u64)> = there
            .map(|file| {
                let (replicas, cached) = self.copies_of(file);
                (asked(file), replicas, cached)
            })
            .collect();
        let count = files.len() as f64;
        let sum = |of: fn(&(u64, u64, u64)) -> u64| files.iter().map(of).sum::<u64>() as f64;
        to.put("replicas_per_file", ratio(sum(|it| it.1), count));
        to.put("cached_per_file", ratio(sum(|it| it.2), count));
        if self.was_apart {
            let factor = u64::from(self.scenario.nodes.factor);
            let lost = files.iter().filter(|it| it.1 + it.2 == 0).count();
            to.put("files_lost", lost as f64);
            let degraded = files.iter().filter(|it| it.1 < factor).count();
            to.put("files_degraded", degraded as f64);
        }
        self.put_search_sizes(&files, to);
        // The sort is stable, so files with equally many reads keep their order.
        files.sort_by_key(|it| std::cmp::Reverse(it.0));
        let axes = |y| ("file, most read first", y);
        let replicas = by_rank(&files, |it| it.1 as f64);
        to.draw("replicas_by_rank", axes("replicas"), replicas);
        let cached = by_rank(&files, |it| it.2 as f64);
        to.draw("cached_by_rank", axes("cached copies"), cached);
    }

    /// The expected cost of finding the files by random probing, with the copies left at the end of the run,
    /// divided by that of equally many copies spread evenly over the files, and spread optimally (by the square
    /// root of each file's reads): Cohen and Shenker 2002, "Replication strategies in unstructured peer-to-peer
    /// networks", section 3.
    fn put_search_sizes(&self, files: &[(u64, u64, u64)], to: &mut Numbers) {
        let found: Vec<(f64, f64)> = files
            .iter()
            .map(|&(asked, replicas, cached)| (asked as f64, (replicas + cached) as f64))
            .filter(|&(_, copies)| copies > 0.0)
            .collect();
        let asked = found.iter().map(|it| it.0).sum::<f64>();
        let copies = found.iter().map(|it| it.1).sum::<f64>();
        let size = found.iter().map(|it| it.0 / it.1).sum::<f64>();
        let even = asked * found.len() as f64 / copies;
        let roots = found.iter().map(|it| libm::sqrt(it.0)).sum::<f64>();
        to.put("search_size_over_even", ratio(size, even));
        to.put("search_size_over_best", ratio(size, roots * roots / copies));
    }

    fn put_decisions(&self, to: &mut Numbers) {
        let mut all = Spent::default();
        for (name, spent) in [
            ("placement", self.spent(|site| site.placement.spent)),
            ("eviction", self.spent(|site| site.eviction.spent)),
            ("relocation", self.spent(|site| site.relocation.spent)),
        ] {
            to.put(&format!("{name}_decisions"), spent.decisions as f64);
            all.add(spent);
        }
        to.put("decisions", all.decisions as f64);
        to.put("faults", all.faults as f64);
        to.put(
            "fuel_per_decision",
            ratio(all.fuel as f64, all.decisions as f64),
        );
    }

    fn spent(&self, of: impl Fn(&super::site::Site) -> Spent) -> Spent {
        let mut all = Spent::default();
        self.sites.iter().for_each(|site| all.add(of(site)));
        all
    }

    fn draw_time(&self, to: &mut Numbers) {
        let windows = &self.tally.windows;
        let over = |of: fn(&Window) -> Option<f64>| -> Vec<(f64, f64)> {
            let points = windows.iter();
            points
                .filter_map(|it| Some((it.ends_us as f64 / 1e6, of(it)?)))
                .collect()
        };
        let hits = over(|it| ratio(it.hits as f64, it.reads as f64));
        to.draw("hit_ratio_over_time", ("time (s)", "hit ratio"), hits);
        let hops = over(|it| ratio(it.hops as f64, it.answered as f64));
        to.draw("hops_over_time", ("time (s)", "hops, mean"), hops);
        if self.was_apart {
            let missed = over(|it| ratio((it.reads - it.answered) as f64, it.reads as f64));
            let axes = ("time (s)", "share of reads that found no copy");
            to.draw("unavailable_over_time", axes, missed);
        }
    }

    fn network_load(&self) -> NetworkLoad {
        let counts = &self.tally.counts;
        let nodes = self.sites.iter().zip(&self.topology.nodes).enumerate();
        let links = self.routes.links().iter().enumerate();
        NetworkLoad {
            nodes: nodes
                .map(|(number, (site, place))| NodeLoad {
                    name: site.name.clone(),
                    zone: site.zone.clone(),
                    position: place.position,
                    served: *counts.served.get(number).unwrap_or(&0),
                    replica_bytes: site.core.replicas().bytes,
                })
                .collect(),
            links: links
                .map(|(number, link)| LinkLoad {
                    ends: link.ends,
                    bytes: *counts.link_bytes.get(number).unwrap_or(&0),
                })
                .collect(),
        }
    }
}

/// Means over intervals of ranks, counted from 1, that get longer as the rank grows, so that a curve of any number
/// of files has a bounded number of points and its beginning is exact.
fn by_rank<T>(items: &[T], of: impl Fn(&T) -> f64) -> Vec<(f64, f64)> {
    let mut points = Vec::new();
    let mut from = 0;
    while from < items.len() {
        let to = (from + 1 + from / (POINTS / 8)).min(items.len());
        let sum = items[from..to].iter().map(&of).sum::<f64>();
        let middle = (from + 1 + to) as f64 / 2.0;
        points.push((middle, sum / (to - from) as f64));
        from = to;
    }
    points
}
