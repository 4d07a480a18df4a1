// SPDX-License-Identifier: Apache-2.0
//! What each form of a request claims, as tables.

use proptest::prelude::*;

use super::*;

fn gpu(index: u32, uuid: &str, name: &str, slices: &[u32]) -> GpuIdentity {
    let mig = slices.iter().enumerate();
    GpuIdentity {
        index,
        uuid: uuid.to_owned(),
        pci_bus_id: format!("00000000:{index:02X}:00.0"),
        name: name.to_owned(),
        mig: mig
            .map(|(i, slices)| MigInstance { uuid: format!("MIG-{index}-{i}"), slices: *slices })
            .collect(),
    }
}

/// 0 and 1 share a beginning; 2 is split unevenly, 3 evenly.
fn host() -> Vec<GpuIdentity> {
    vec![
        gpu(0, "GPU-aa11", "H100", &[]),
        gpu(1, "GPU-aa22", "H100", &[]),
        gpu(2, "GPU-bb33", "H100", &[1, 2, 4]),
        gpu(3, "GPU-cc44", "H100", &[2, 2, 2]),
    ]
}

fn auto(text: &str) -> GpuRequest {
    GpuRequest::Auto { visible_devices: Some(text.to_owned()), device_order: None }
}

fn list(entries: &[&str]) -> GpuRequest {
    GpuRequest::List(entries.iter().map(|entry| (*entry).to_owned()).collect())
}

/// (GPU, weight, whole), all held, and the number of problems.
fn check(request: &GpuRequest, expected: &[(usize, u32, u32)], problems: usize) {
    let resolved = resolve(request, &host());
    let claims: Vec<_> = resolved.claims.iter().map(|c| (c.gpu, c.weight, c.whole)).collect();
    assert_eq!(claims, expected, "{request:?}");
    assert!(resolved.claims.iter().all(|c| c.strength == Strength::Held), "{request:?}");
    assert_eq!(resolved.problems.len(), problems, "{request:?}: {:?}", resolved.problems);
}

#[test]
fn an_unset_variable_makes_every_gpu_visible_and_holds_none() {
    let request = GpuRequest::Auto { visible_devices: None, device_order: None };
    let resolved = resolve(&request, &host());
    assert_eq!(resolved.claims.len(), 4);
    assert!(resolved.claims.iter().all(|claim| claim.strength == Strength::Visible));
    assert!(resolved.claims.iter().all(|claim| (claim.weight, claim.whole) == (1, 1)));
    assert!(resolved.problems.is_empty());
}

#[test]
fn all_and_none_are_what_they_say() {
    check(&GpuRequest::All, &[(0, 1, 1), (1, 1, 1), (2, 1, 1), (3, 1, 1)], 0);
    check(&GpuRequest::None, &[], 0);
}

#[test]
fn cuda_visible_devices_is_read_as_cuda_reads_it() {
    for (text, claims, problems) in [
        ("", &[][..], 0),
        (" ", &[], 0),
        ("-1", &[], 0),
        ("-1,0", &[], 0),
        ("NoDevFiles", &[], 0),
        ("none", &[], 1),
        ("0", &[(0, 1, 1)], 0),
        ("1,0", &[(1, 1, 1), (0, 1, 1)], 0),
        (" 1 , 0 ", &[(1, 1, 1), (0, 1, 1)], 0),
        ("0,2x,1", &[(0, 1, 1)], 1),
        ("0,1,-1,1", &[(0, 1, 1), (1, 1, 1)], 0),
        ("0,,1", &[(0, 1, 1)], 0),
        ("0,4,1", &[(0, 1, 1)], 1),
        ("+1", &[], 1),
        ("99999999999", &[], 1),
        ("0,0", &[(0, 1, 1)], 0),
        ("GPU-aa11", &[(0, 1, 1)], 0),
        ("GPU-aa2", &[(1, 1, 1)], 0),
        ("GPU-aa", &[], 1),
        ("GPU-", &[], 1),
        ("GPU-zz,0", &[], 1),
        ("gpu-aa11", &[], 1),
        ("0,GPU-aa22", &[(0, 1, 1), (1, 1, 1)], 0),
    ] {
        check(&auto(text), claims, problems);
    }
}

#[test]
fn a_mig_instance_claims_its_slices_of_those_that_exist() {
    for (text, claims, problems) in [
        ("MIG-2-0", &[(2, 1, 7)][..], 0),
        ("MIG-2-2", &[(2, 4, 7)], 0),
        ("MIG-2-0,MIG-2-1", &[(2, 3, 7)], 0),
        ("MIG-2-0,MIG-2-0", &[(2, 1, 7)], 0),
        ("MIG-2", &[], 1),
        ("MIG-GPU-cc44/1/0", &[(3, 2, 6)], 0),
        ("MIG-GPU-cc44/1/0,MIG-GPU-cc44/2/0", &[(3, 4, 6)], 0),
        ("MIG-GPU-cc44/1", &[], 1),
        ("MIG-GPU-cc44/1/0/0", &[], 1),
        ("MIG-GPU-cc44/a/0", &[], 1),
        ("MIG-GPU-aa11/1/0", &[], 1),
        ("MIG-GPU-zz/1/0", &[], 1),
        ("2", &[(2, 1, 1)], 1),
        ("MIG-2-0,2", &[(2, 1, 1)], 1),
    ] {
        check(&auto(text), claims, problems);
    }
}

#[test]
fn an_instance_named_by_number_among_unequal_ones_is_only_visible() {
    let resolved = resolve(&auto("MIG-GPU-bb33/1/0"), &host());
    let expected = GpuClaim { gpu: 2, strength: Strength::Visible, weight: 1, whole: 1 };
    assert_eq!(resolved.claims, [expected]);
    assert_eq!(resolved.problems.len(), 1);
}

#[test]
fn an_older_driver_names_instances_in_the_older_notation() {
    let mut gpus = vec![gpu(0, "GPU-a", "A100", &[3, 4])];
    gpus[0].mig[1].uuid = "MIG-GPU-a/2/0".to_owned();
    let claims = resolve(&auto("MIG-GPU-a/2/0"), &gpus).claims;
    assert_eq!(claims, [GpuClaim { gpu: 0, strength: Strength::Held, weight: 4, whole: 7 }]);
}

#[test]
fn instances_of_unknown_size_share_alike() {
    let gpus = [gpu(0, "GPU-a", "A100", &[0, 0])];
    let claims = resolve(&auto("MIG-0-1"), &gpus).claims;
    assert_eq!(claims, [GpuClaim { gpu: 0, strength: Strength::Held, weight: 1, whole: 2 }]);
}

#[test]
fn an_index_is_trusted_with_one_model_or_in_pci_order_only() {
    let gpus = [gpu(0, "GPU-a", "A2", &[]), gpu(1, "GPU-b", "H100", &[])];
    for (text, order, problems) in [
        ("0", None, 1),
        ("0", Some("FASTEST_FIRST"), 1),
        ("0", Some("PCI_BUS_ID"), 0),
        ("GPU-b", None, 0),
        ("", None, 0),
    ] {
        let device_order = order.map(str::to_owned);
        let request = GpuRequest::Auto { visible_devices: Some(text.to_owned()), device_order };
        let resolved = resolve(&request, &gpus);
        assert_eq!(resolved.problems.len(), problems, "{text} {order:?}");
        assert!(resolved.claims.iter().all(|claim| claim.strength == Strength::Held));
    }
}

#[test]
fn an_index_is_nvmls_and_not_a_place_in_a_list_with_holes() {
    let gpus = [gpu(0, "GPU-a", "A2", &[]), gpu(3, "GPU-b", "A2", &[])];
    assert_eq!(resolve(&list(&["3"]), &gpus).claims[0].gpu, 1);
    assert_eq!(resolve(&list(&["1"]), &gpus).problems.len(), 1);
}

#[test]
fn a_list_names_every_mistake_and_goes_on() {
    check(&list(&["0", "GPU-bb", "MIG-3-1"]), &[(0, 1, 1), (2, 1, 1), (3, 2, 6)], 1);
    check(&list(&["9", "0", "x", "GPU-aa"]), &[(0, 1, 1)], 3);
    check(&list(&["-1"]), &[], 1);
    check(&list(&[]), &[], 1);
    check(&list(&[""]), &[], 1);
}

#[test]
fn a_host_without_gpus_is_no_case_of_its_own() {
    for request in [GpuRequest::All, auto("0"), list(&["0"]), auto("MIG-x")] {
        assert!(resolve(&request, &[]).claims.is_empty());
    }
}

#[test]
fn a_process_is_the_first_jobs_that_has_it() {
    let jobs: [&[i32]; 2] = [&[5], &[5, 6]];
    let users = users_to_jobs(&[6, 5, 7], jobs.len(), |job, pid| jobs[job].contains(&pid));
    assert_eq!(users, [GpuUser::Job(1), GpuUser::Job(0), GpuUser::Other]);
}

proptest! {
    #[test]
    fn any_text_gives_at_most_one_claim_a_gpu_and_no_more_than_the_whole(
        text in prop_oneof![
            any::<String>(),
            "((MIG-|GPU-|MIG-GPU-)?(aa11|aa|bb33|cc44|2-[0-3]|[0-9]{1,3})?(/[0-9])*,?){0,6}",
        ],
        order in proptest::option::of(any::<String>()),
    ) {
        let entries = text.split(',').map(str::to_owned).collect();
        let auto = GpuRequest::Auto { visible_devices: Some(text), device_order: order };
        for request in [auto, GpuRequest::List(entries)] {
            let claims = resolve(&request, &host()).claims;
            for (place, claim) in claims.iter().enumerate() {
                prop_assert!(claim.gpu < 4 && (1..=claim.whole).contains(&claim.weight));
                prop_assert!(claims[..place].iter().all(|other| other.gpu != claim.gpu));
            }
        }
    }
}
