// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Which test shows which rule of the contract. The table is checked: every test named in it exists,
//! every test that carries a rule in its name is in it, and every rule is somebody's.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// R38 and R39 do not exist.
fn rules() -> impl Iterator<Item = u32> {
    (1..=37).chain(40..=47)
}

/// Rules that bind the host, and the tests of the driver that show them, as `file::promise`.
const DRIVER: &[(u32, &[&str])] = &[
    (
        8,
        &[
            "driver_full_ring::a_full_ring_refuses_and_loses_nothing",
            "driver_full_ring::every_kind_of_command_goes_through_rings_of_two",
            "driver_full_ring::direct_doorbells_go_round",
        ],
    ),
    (
        9,
        &[
            "driver_full_ring::every_kind_of_command_goes_through_rings_of_two",
            "driver_full_ring::a_gap_alone_does_not_stop_the_ring",
        ],
    ),
    (20, &["driver_bring_up::start_and_stop_are_in_the_safe_order"]),
    (
        21,
        &[
            "driver_sa::generations_grow_over_failures_too",
            "driver_sa::slots_are_used_again_oldest_free_first",
        ],
    ),
    (26, &["driver_device_faults::a_pair_in_error_stops_only_itself"]),
    (
        29,
        &[
            "driver_batch::items_of_one_sa_take_effect_in_order",
            "driver_threads::batches_of_many_threads_keep_each_sas_order",
        ],
    ),
    (
        36,
        &[
            "driver_tickets::a_doubtful_update_is_repeated_with_care",
            "driver_tickets::a_repeated_update_never_pulls_the_device_back",
        ],
    ),
    (40, &["driver_batch::a_batch_rings_one_doorbell"]),
    (
        41,
        &[
            "driver_completion_faults::every_flipped_bit_is_recognised_or_the_devices_word",
            "driver_completion_faults::garbage_never_moves_the_shadow",
        ],
    ),
    (
        44,
        &[
            "driver_tickets::a_stuck_device_times_out_with_a_suspicion",
            "driver_tickets::a_late_completion_still_counts",
            "driver_recover::commands_under_way_settle_as_aborted",
        ],
    ),
    (45, &["driver_completion_faults::each_broken_promise_has_its_name"]),
    (46, &["driver_tickets::a_completion_that_does_not_arrive_is_told_from_one_that_is_not_made"]),
    (
        47,
        &[
            "driver_bring_up::late_stores_of_an_old_instance_do_nothing",
            "driver_recover::every_instance_begins_elsewhere",
        ],
    ),
];

/// Rules that bind the device, and the tests that show them, as `file::promise`.
const DEVICE: &[(u32, &[&str])] = &[
    (
        1,
        &[
            "contract_interrupts::r1_without_an_arm_no_interrupt",
            "contract_interrupts::r1_an_arm_fires_once",
            "contract_interrupts::r1_an_arm_fires_at_once_if_completions_are_waiting",
            "contract_interrupts::r1_an_arm_waits_for_k_completions",
            "contract_interrupts::r1_a_later_arm_replaces_the_one_before",
            "contract_interrupts::r1_time_fires_for_fewer_than_k",
            "contract_interrupts::r1_time_counts_from_the_later_of_arm_and_completion",
            "contract_interrupts::r1_no_time_means_never_by_time",
            "contract_interrupts::r1_counts_over_the_wrap_of_the_index",
        ],
    ),
    (2, &["contract_interrupts::r2_one_interrupt_an_arm_however_many_completions"]),
    (3, &["contract_interrupts::r3_when_it_fires_the_completions_are_in_memory"]),
    (
        4,
        &[
            "contract_interrupts::r4_a_masked_vector_keeps_its_message_until_unmasked",
            "contract_interrupts::r4_a_masked_function_keeps_its_messages",
        ],
    ),
    (5, &["contract_interrupts::r5_vector_q_tells_of_causes_and_repeats_after_an_acknowledge"]),
    (
        6,
        &[
            "contract_ring::r6_every_slot_is_usable_and_phases_turn_at_the_end",
            "contract_ring::r6_indices_wrap_at_2_to_the_32",
        ],
    ),
    (
        7,
        &[
            "contract_ring::r7_without_credit_the_device_waits_and_drops_nothing",
            "contract_ring::r7_one_entry_of_credit_lets_one_command_go",
            "contract_ring::r7_one_entry_of_credit_is_enough_for_an_add",
            "contract_ring::r7_direct_commands_need_credit_too",
            "oracle::one_slot_and_rings_of_two",
        ],
    ),
    (
        9,
        &[
            "contract_ring::r9_add_takes_two_slots_from_an_even_one",
            "contract_ring::r9_an_add_may_end_the_ring",
        ],
    ),
    (10, &["contract_ring::r10_sq_head_tells_how_far_was_fetched"]),
    (
        11,
        &[
            "contract_ring::r11_reads_are_512_byte_blocks_and_never_pass_tail_or_end",
            "contract_ring::r11_neither_pairs_nor_paths_starve",
        ],
    ),
    (12, &["contract_order::r12_a_phase_is_never_seen_before_its_result"]),
    (13, &["contract_direct::r13_stores_take_effect_in_the_order_accepted"]),
    (
        14,
        &[
            "contract_ring::r14_a_malformed_command_never_stops_its_pair",
            "contract_ring::r14_a_bad_pair_takes_two_slots_only_with_a_second_half",
            "contract_fields::each_reserved_bit_of_add_is_checked",
            "contract_fields::each_reserved_bit_of_the_short_commands_is_checked",
            "contract_status::update_tells_the_first_reason_that_applies",
        ],
    ),
    (15, &["contract_stage::r15_staged_bytes_are_never_readable"]),
    (16, &["contract_order::r16_an_aligned_read_of_any_size_is_one_access"]),
    (
        17,
        &[
            "contract_stage::r17_any_split_of_the_stores_gives_the_same_entry",
            "contract_stage::r17_nothing_staged_acts_before_its_doorbell",
            "contract_stage::r17_each_required_dword_must_be_written",
            "contract_stage::r17_dwords_that_are_not_required_count_as_zero",
            "contract_stage::r17_cookie_and_index_of_doorbell_and_header_must_agree",
            "contract_stage::r17_a_mixed_store_never_makes_an_entry",
            "contract_stage::r17_the_completion_of_a_bad_stage_names_the_doorbell",
        ],
    ),
    (
        18,
        &[
            "contract_stage::r18_taking_a_command_empties_the_buffer",
            "contract_stage::r18_delete_by_either_path_empties_the_buffer_of_its_slot",
        ],
    ),
    (
        19,
        &[
            "contract_stage::r19_another_slot_takes_the_buffer_over",
            "contract_stage::r19_slots_of_different_buffers_do_not_disturb_each_other",
        ],
    ),
    (
        20,
        &[
            "contract_lifecycle::r20_scrub_counts_down_and_shows_nothing_until_ready",
            "contract_reset::r20_reset_puts_every_register_back",
            "contract_reset::r20_reset_ends_dma_and_drops_what_was_under_way",
            "contract_reset::r20_reset_forgets_table_generations_and_stage",
            "contract_reset::r20_only_a_function_level_reset_touches_the_msix_table",
            "contract_reset::r20_flr_also_resets_configuration_space",
        ],
    ),
    (
        21,
        &[
            "contract_order::r21_an_add_needs_a_newer_generation",
            "contract_order::r21_generations_wrap_from_the_last_number_to_1",
            "contract_order::r21_a_failed_add_uses_no_generation_up",
            "contract_status::r21_a_verify_uses_its_generation_up",
        ],
    ),
    (
        22,
        &[
            "contract_lifecycle::r22_run_needs_an_epoch",
            "contract_lifecycle::r22_instance_is_writable_in_ready_only",
            "contract_lifecycle::r22_nothing_runs_in_ready_but_the_table_can_be_read",
            "contract_lifecycle::r22_ready_keeps_the_table",
        ],
    ),
    (
        23,
        &[
            "contract_lifecycle::r23_fatal_stops_everything_and_shows_no_entry",
            "contract_lifecycle::r23_only_reset_leaves_fatal",
        ],
    ),
    (
        24,
        &[
            "contract_lifecycle::r24_without_bus_master_dma_waits_and_nothing_fails",
            "contract_lifecycle::r24_the_direct_path_waits_too_for_its_completion",
        ],
    ),
    (
        25,
        &[
            "contract_pair::r25_stopping_settles_every_command",
            "contract_pair::r25_a_stopped_pair_does_no_dma_and_starts_afresh",
        ],
    ),
    (
        26,
        &[
            "contract_pair::r26_an_error_stays_in_its_pair",
            "contract_pair::r26_error_is_left_by_disable",
        ],
    ),
    (27, &["contract_pair::r27_a_failed_read_ends_the_ring_there"]),
    (
        28,
        &[
            "contract_order::r28_the_generation_outlives_the_entry",
            "contract_order::r28_index_and_generation_are_the_hosts_choice",
            "contract_reset::r28_handles_come_back_unchanged_after_reset",
        ],
    ),
    (
        29,
        &[
            "contract_direct::r29_both_paths_may_run_side_by_side",
            "contract_order::r29_one_path_keeps_the_order_of_one_sa",
            "contract_order::r29_the_direct_path_keeps_the_order_too",
            "oracle::eight_threads_that_share_four_slots",
        ],
    ),
    (
        30,
        &[
            "contract_order::r30_completions_of_a_batch_are_exactly_its_commands",
            "contract_order::r30_pairs_see_each_others_effects_at_the_completion",
            "oracle::eight_threads_that_share_four_slots",
            "oracle::two_threads_that_share_one_slot",
        ],
    ),
    (31, &["contract_esn_edges::r31_top_and_lo_valid_change_together"]),
    (
        32,
        &[
            "contract_commands::r32_delete_leaves_only_index_and_generation",
            "contract_status::a_delete_that_fails_to_verify_may_be_repeated",
        ],
    ),
    (
        33,
        &[
            "contract_keys::r33_no_read_shows_a_key_of_a_live_entry",
            "contract_keys::r33_no_read_shows_a_key_that_is_only_staged",
            "contract_keys::r33_no_read_shows_the_key_of_an_entry_that_failed",
            "contract_keys::r33_no_key_after_delete_and_none_in_memory",
            "contract_keys::r33_no_key_after_reset",
            "contract_keys::r33_completions_and_records_are_free_of_keys",
            "contract_keys::r33_the_digest_does_not_depend_on_the_key",
        ],
    ),
    (
        34,
        &[
            "contract_esn_edges::r34_after_a_resync_the_first_packet_sets_top",
            "contract_esn::update_hi_follows_the_table",
        ],
    ),
    (
        35,
        &[
            "contract_esn_edges::r35_hi_never_leaves_its_end_by_itself",
            "contract_esn::resolve_follows_the_table",
            "contract_esn::commit_follows_the_table",
        ],
    ),
    (
        36,
        &[
            "contract_esn_edges::r36_a_repeated_update_does_not_pull_top_back",
            "contract_vectors::c2_one_epoch_number_is_cas_on_the_high_half",
        ],
    ),
    (
        37,
        &[
            "contract_esn_edges::r37_an_early_update_is_a_resync_and_a_late_one_is_harmless",
            "contract_vectors::c5_late_early_double_and_backward_updates",
        ],
    ),
    (40, &["contract_ring::r40_a_stale_tail_is_harmless"]),
    (
        42,
        &[
            "contract_order::r42_the_record_is_written_before_its_completion",
            "contract_interrupts::r3_when_it_fires_the_completions_are_in_memory",
        ],
    ),
    (43, &["contract_lifecycle::r43_a_command_completes_within_4096_cycles"]),
    (46, &["contract_pair::r46_a_refused_completion_stops_the_pair"]),
    (
        47,
        &[
            "contract_reset::r47_late_stores_hit_nothing_while_the_device_is_not_running",
            "contract_reset::r47_late_direct_doorbells_of_the_old_epoch_are_dropped",
            "contract_reset::r47_late_staged_commands_of_the_old_epoch_end_in_bad_epoch",
            "contract_reset::r47_late_ring_doorbells_miss_the_new_start",
        ],
    ),
];

/// Promises of each test file.
fn promises() -> BTreeSet<String> {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    let mut promises = BTreeSet::new();
    for entry in fs::read_dir(tests).expect("this directory") {
        let path = entry.expect("a file").path();
        if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path).expect("a text");
            let stem = path.file_stem().expect("a name").to_string_lossy().into_owned();
            let names = text.lines().filter_map(|line| {
                let rest = line.strip_prefix("fn ")?;
                let (name, _) = rest.split_once("() {")?;
                Some(name.strip_suffix("<B: Backend>").unwrap_or(name))
            });
            promises.extend(names.map(|name| format!("{stem}::{name}")));
        }
    }
    promises
}

#[test]
fn every_rule_is_shown_by_a_test() {
    let tables = DEVICE.iter().chain(DRIVER);
    let shown: BTreeSet<_> =
        tables.filter(|(_, tests)| !tests.is_empty()).map(|row| row.0).collect();
    assert_eq!(shown, rules().collect());
}

#[test]
fn the_table_and_the_tests_agree() {
    let promises = promises();
    for (rule, tests) in DEVICE.iter().chain(DRIVER) {
        for test in *tests {
            assert!(promises.contains(*test), "R{rule}: {test} does not exist");
        }
    }
    for promise in &promises {
        let name = promise.split_once("::").expect("file and name").1;
        let rule = name.strip_prefix('r').and_then(|rest| rest.split_once('_'));
        let Some(rule) = rule.and_then(|(number, _)| number.parse::<u32>().ok()) else {
            continue;
        };
        let listed = DEVICE.iter().any(|(r, tests)| *r == rule && tests.contains(&&**promise));
        assert!(listed, "{promise} is not in the table under R{rule}");
    }
}
