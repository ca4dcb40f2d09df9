/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/*
 * esnic: keeps the SA table of an IPsec SmartNIC right.
 *
 * Printed from driver/capi by `cargo xtask capi`; do not change it by hand.
 *
 * What holds for every function
 *
 * Return values. 0 (ESNIC_OK) or a negative enum esnic_error. A call that fails has not touched
 * what its pointers point to, unless it says so. errno means nothing. esnic_last_error has the
 * sentence that belongs to the last failure of the thread. Any function that takes a device may
 * return ESNIC_E_HANDLE; any that takes pointers or numbers ESNIC_E_INVALID, ESNIC_E_SIZE; and any
 * ESNIC_E_INTERNAL, which is a bug.
 *
 * Numbers. Devices, tickets and SAs are numbers. A device that is closed, a ticket that is used
 * up and a ticket of another device are errors and nothing worse, up to this: a ticket's number
 * comes back when 2^30 - 1 more have had its place, or on the 4096th device opened after its own.
 * The handle of an SA is good with the device that gave it, and does not say which that is:
 * devices count alike, so with another device, or the same one opened anew, the same number is
 * another SA, which a deletion deletes, and an update moves if it has the SPI. Keep each handle
 * beside its device. With its own device, one that is stale is an error, until 2^32 SAs have had
 * its row.
 *
 * Structures. The caller sets size to sizeof, also of those that are written, and the rest of those
 * that are read to 0 before setting what it needs: what is 0 has its usual meaning, today and in
 * later versions. Members are added at the end only. Integers are in the host's byte order.
 *
 * Pointers. NULL is an error unless said otherwise. Any other pointer is good for the call, and no
 * other thread writes there meanwhile. The library keeps none.
 *
 * Threads. Every function may be called by any thread at any time, for the same device too. A
 * ticket is used by one thread at a time; another one gets ESNIC_E_BUSY. Not from a signal handler,
 * and not in a child after fork: devices stay the parent's.
 *
 * Waiting. Only esnic_open, esnic_close, esnic_recover, esnic_batch and esnic_ticket_wait wait
 * for a device to do something. The last two do until timeout_ms is over. The others are told no
 * time for the whole: each step has a limit, so with a device that fails they take the sum of
 * several. reset_timeout_ms is for each reset, of which esnic_recover has two, and for coming up
 * after it, beside what the host takes to reset a PCI function; each queue pair has a tenth of a
 * second to stop, and to start; command_timeout_ms is for another thread's reset to end, for
 * other threads to leave the device, and for one to leave each pair. esnic_recover has
 * command_timeout_ms anew for each row that finds its ring full, and once more for the last ones.
 * Requests return at once, with a ticket. With vfio-user:PATH, any call that reads a register
 * waits for the other process to answer: for 5 s, then the device is gone.
 *
 * Keys. They are copied during the call, kept in memory that is neither swapped out nor dumped, and
 * wiped when their SA goes. No function gives one back, and no text has one in it.
 *
 * Signals. The first PCI function that is opened sets a handler for SIGBUS, for the whole process:
 * by that signal the kernel tells of a mapped function that is not there any more, as when the card
 * was pulled out. Signals about any other address go to the handler that was there before, or do
 * what they did without one. A program with a handler of its own sets it before esnic_open; one that
 * is set later must pass on to this one what is not its own.
 *
 * Versions. esnic_open refuses a program whose header has another major version than the library,
 * or a newer minor one.
 */


#ifndef ESNIC_H
#define ESNIC_H

#include <stddef.h>
#include <stdint.h>

// Major version of this interface: one that differs does not fit.
#define ESNIC_ABI_MAJOR 1

// Minor version of this interface: grows when functions, codes or members are added.
#define ESNIC_ABI_MINOR 0

// Version of this header, for esnic_config.abi_version.
#define ESNIC_ABI_VERSION ((ESNIC_ABI_MAJOR << 16) | ESNIC_ABI_MINOR)

// esnic_config.flags: turn interrupts on. Waits sleep then, and esnic_event_fd works.
#define ESNIC_OPEN_INTERRUPTS 1

// esnic_config.flags: keys may be in memory that is swapped out, if the limit of locked memory
// (ulimit -l) asks for it. For test keys.
#define ESNIC_OPEN_SWAPPABLE_KEYS 2

// esnic_sa.flags: extended sequence numbers (RFC 4303 section 2.2.1).
#define ESNIC_SA_ESN 1

// esnic_sa.flags: lo is known. Without, lo is 0.
#define ESNIC_SA_LO_KNOWN 2

// esnic_sa.flags: ESP inside UDP, with udp_src and udp_dst (RFC 3948).
#define ESNIC_SA_UDP 4

// esnic_update.flags: only if the high half that is held is expected_hi.
#define ESNIC_UPDATE_CAS 1

// esnic_update.flags: never backward.
#define ESNIC_UPDATE_MONOTONE 2

// esnic_outcome.flags: the command altered the SA.
#define ESNIC_OUTCOME_CHANGED 1

// esnic_outcome.flags: the low half is known after the command.
#define ESNIC_OUTCOME_LO_KNOWN 2

// esnic_known.flags: the low half is known.
#define ESNIC_KNOWN_LO 1

// esnic_caps.flags: keys are in memory that is never swapped out.
#define ESNIC_CAPS_KEYS_LOCKED 1

// Flags of esnic_recover: read every row back in full, not a sample of 64.
#define ESNIC_RECOVER_VERIFY_ALL 1

// Most items of one batch.
#define ESNIC_MAX_ITEMS 65536

// esnic_caps.features: extended sequence numbers.
#define ESNIC_FEATURE_ESN (1 << 5)

// esnic_caps.features: AH, and with it bundles.
#define ESNIC_FEATURE_AH (1 << 6)

// esnic_caps.features: ESP.
#define ESNIC_FEATURE_ESP (1 << 7)

// esnic_caps.features: IPv4.
#define ESNIC_FEATURE_IPV4 (1 << 8)

// esnic_caps.features: IPv6.
#define ESNIC_FEATURE_IPV6 (1 << 9)

// esnic_caps.features: transport mode.
#define ESNIC_FEATURE_TRANSPORT (1 << 10)

// esnic_caps.features: tunnel mode.
#define ESNIC_FEATURE_TUNNEL (1 << 11)

// esnic_caps.features: transport mode inside UDP.
#define ESNIC_FEATURE_UDP_TRANSPORT (1 << 12)

// esnic_caps.features: tunnel mode inside UDP.
#define ESNIC_FEATURE_UDP_TUNNEL (1 << 13)

// esnic_caps.algorithms: check values of 8 bytes.
#define ESNIC_ICV_8 (1 << 16)

// esnic_caps.algorithms: check values of 12 bytes.
#define ESNIC_ICV_12 (1 << 17)

// esnic_caps.algorithms: check values of 16 bytes.
#define ESNIC_ICV_16 (1 << 18)

// What functions return: 0, or why not, which is negative.
enum esnic_error {
    // Done.
    ESNIC_OK = 0,
    // An argument makes no sense: NULL, a number out of range, an unknown flag, reserved bytes in use.
    ESNIC_E_INVALID = -1,
    // A structure says a size that it cannot have, or uses members that this library does not know.
    ESNIC_E_SIZE = -2,
    // Header and library do not fit.
    ESNIC_E_VERSION = -3,
    // No open device has this number.
    ESNIC_E_HANDLE = -4,
    // There is no such ticket of this device, or it was used up.
    ESNIC_E_TICKET = -5,
    // Somebody else is at it: another thread has the ticket, the interrupt or the reset, or the SA
    // has commands outstanding by the other path. Try again after esnic_poll.
    ESNIC_E_BUSY = -6,
    // There is no room for another request now: esnic_poll, use up tickets, try again.
    ESNIC_E_FULL = -7,
    // Every slot of the SA table is taken.
    ESNIC_E_TABLE_FULL = -8,
    // No live SA has this handle.
    ESNIC_E_NOT_FOUND = -9,
    // The SA has no element of this protocol, or it has another SPI, or no extended sequence numbers.
    ESNIC_E_MISMATCH = -10,
    // The device does not hold the SA any more: delete it and add it again.
    ESNIC_E_LOST = -11,
    // The device cannot take the SA; keep it in software.
    ESNIC_E_UNSUPPORTED = -12,
    // The device is being reset, or closed.
    ESNIC_E_CLOSED = -13,
    // There is no outcome yet. The ticket stays good.
    ESNIC_E_PENDING = -14,
    // The time is over, and there is no outcome. The command may still be carried out, the ticket
    // stays good.
    ESNIC_E_TIMEOUT = -15,
    // The device refused: see esnic_outcome.status. The ticket is used up.
    ESNIC_E_REFUSED = -16,
    // A reset came between; whether the command took effect does not matter any more, since the
    // table was put back without it. The ticket is used up.
    ESNIC_E_ABORTED = -17,
    // At least one item of the batch did not succeed: see esnic_item.error of each.
    ESNIC_E_ITEMS = -18,
    // The device is gone, stopped, broken, or none of esnic's: see esnic_last_error, then try
    // esnic_recover.
    ESNIC_E_DEVICE = -19,
    // The host refuses: no such device, no permission, no memory, no file left.
    ESNIC_E_HOST = -20,
    // There is no such file to sleep on: interrupts are off, or the device is in this process.
    ESNIC_E_NO_EVENT = -21,
    // A bug in esnic, which has said on standard error where.
    ESNIC_E_INTERNAL = -22,
};

// How the device ended a command.
enum esnic_status {
    // Done.
    ESNIC_STATUS_OK = 0,
    // Direct path: what is staged and what the doorbell names do not belong together.
    ESNIC_STATUS_STAGE = 1,
    // Unknown or not offered.
    ESNIC_STATUS_BAD_OPCODE = 2,
    // The command was made for another instance.
    ESNIC_STATUS_BAD_EPOCH = 3,
    // An ADD without its second half.
    ESNIC_STATUS_BAD_PAIR = 4,
    // A member is out of range.
    ESNIC_STATUS_BAD_FIELD = 5,
    // There is no such row.
    ESNIC_STATUS_BAD_INDEX = 6,
    // Valid, but not offered by this device.
    ESNIC_STATUS_UNSUPPORTED = 7,
    // The row is taken.
    ESNIC_STATUS_OCCUPIED = 8,
    // The row has had a newer generation.
    ESNIC_STATUS_OLD_GENERATION = 9,
    // The row is being deleted already.
    ESNIC_STATUS_DRAINING = 10,
    // The row holds nothing.
    ESNIC_STATUS_EMPTY = 11,
    // The row holds an SA of another generation.
    ESNIC_STATUS_STALE = 12,
    // The SA has another protocol.
    ESNIC_STATUS_WRONG_PROTO = 13,
    // The SA has another SPI.
    ESNIC_STATUS_WRONG_SPI = 14,
    // The SA has no extended sequence numbers.
    ESNIC_STATUS_NOT_ESN = 15,
    // Compare-and-set: another high half is held, which the result has; nothing changed.
    ESNIC_STATUS_CONFLICT = 16,
    // Monotone: the new value is below the held one, which the result has; nothing changed.
    ESNIC_STATUS_BACKWARD = 17,
    // What was read back is not what was written.
    ESNIC_STATUS_VERIFY = 18,
    // The device could not write a record.
    ESNIC_STATUS_DMA_ERROR = 19,
    // Never in an outcome: items are reported one by one.
    ESNIC_STATUS_ITEMS = 20,
};

// IPsec protocol.
enum esnic_protocol {
    // Authentication header (RFC 4302).
    ESNIC_AH = 1,
    // Encapsulating security payload (RFC 4303).
    ESNIC_ESP = 2,
};

// Which packets an SA is for.
enum esnic_direction {
    // From the network.
    ESNIC_IN = 1,
    // To the network.
    ESNIC_OUT = 2,
};

// What is inside (RFC 4301 section 4.1).
enum esnic_mode {
    // An upper-layer payload.
    ESNIC_TRANSPORT = 1,
    // A whole IP packet.
    ESNIC_TUNNEL = 2,
};

// Algorithm and length of its key. Number a is bit a of esnic_caps.algorithms.
enum esnic_algorithm {
    // AES-GCM, 128 bits (RFC 4106); ESP only.
    ESNIC_AES_GCM_128 = 1,
    // AES-GCM, 192 bits (RFC 4106); ESP only.
    ESNIC_AES_GCM_192 = 2,
    // AES-GCM, 256 bits (RFC 4106); ESP only.
    ESNIC_AES_GCM_256 = 3,
    // AES-GMAC, 128 bits (RFC 4543); check value of 16 bytes.
    ESNIC_AES_GMAC_128 = 4,
    // AES-GMAC, 192 bits (RFC 4543); check value of 16 bytes.
    ESNIC_AES_GMAC_192 = 5,
    // AES-GMAC, 256 bits (RFC 4543); check value of 16 bytes.
    ESNIC_AES_GMAC_256 = 6,
};

// What an update gives.
enum esnic_update_mode {
    // The high half alone, as IPsecOV2's UPDATE_SA does. The one that is held changes nothing. The next
    // one, where the low half is 2^31 or more, is the wrap: the low half begins at 0. Any other one
    // is taken as told, and the low half is not known any more.
    ESNIC_HI = 0,
    // Both halves.
    ESNIC_TOP = 1,
    // The high half, and the low one is not known any more.
    ESNIC_RESYNC = 2,
};

// In which state of its life an SA is, as the driver sees it.
enum esnic_state {
    // It is on its way to the device.
    ESNIC_ADDING = 1,
    // The device has it.
    ESNIC_LIVE = 2,
    // It is being deleted.
    ESNIC_DELETING = 3,
    // It is deleted, and the device has not carried that out yet.
    ESNIC_DEAD = 4,
    // The device does not have it, though it should.
    ESNIC_LOST = 5,
};

// Kinds of items of a batch.
enum esnic_op {
    // As esnic_update.
    ESNIC_OP_UPDATE = 1,
    // As esnic_delete.
    ESNIC_OP_DELETE = 2,
};

// How to open a device. Everything but size and abi_version may be 0.
struct esnic_config {
    // sizeof(struct esnic_config).
    uint32_t size;
    // ESNIC_ABI_VERSION.
    uint32_t abi_version;
    // ESNIC_OPEN_ flags.
    uint32_t flags;
    // Queue pairs to use; 0 for one. Threads that submit to different pairs do not meet.
    uint32_t queue_pairs;
    // log2 of the slots of each submission ring; 0 for 8.
    uint32_t sq_log2;
    // log2 of the entries of each completion ring: how many commands a pair can have under way.
    // Tickets that are not used up: twice as many. 0 for 8.
    uint32_t cq_log2;
    // SAs to keep track of; 0 for as many as the device has.
    uint32_t max_sas;
    // Rows of the SA table of the device "model", a power of two from 2 to 1048576; 0 for 4096.
    // 0 for any other device.
    uint32_t model_rows;
    // How long a step may take where the library itself waits for commands or threads, in
    // milliseconds; 0 for 1000.
    uint32_t command_timeout_ms;
    // How long a reset may take, and coming up after it, in milliseconds; 0 for 1000.
    uint32_t reset_timeout_ms;
};

// An open device. Never 0; never given out twice by one process.
typedef uint64_t esnic_device;

// What a device is and can do.
struct esnic_caps {
    // sizeof(struct esnic_caps), before the call.
    uint32_t size;
    // Version of the device's contract: major in the upper 16 bits, minor in the lower ones.
    uint32_t contract;
    // Hash of the layout that the device speaks.
    uint64_t abi_hash;
    // Rows of the SA table.
    uint32_t sa_capacity;
    // Bundles that fit into an empty table.
    uint32_t bundle_capacity;
    // SAs that there is room for now; a bundle takes two.
    uint32_t room;
    // Queue pairs that the device has.
    uint32_t queue_pairs;
    // Entries of the largest ring.
    uint32_t ring_entries;
    // Doorbells of the direct path a queue pair.
    uint32_t direct_entries;
    // Stage buffers of the direct path.
    uint32_t stage_buffers;
    // Largest replay window, in packets.
    uint32_t max_window;
    // ESNIC_FEATURE_ bits. Others are the driver's concern.
    uint32_t features;
    // Bit a: algorithm a of enum esnic_algorithm. ESNIC_ICV_ bits.
    uint32_t algorithms;
    // ESNIC_CAPS_ flags.
    uint32_t flags;
    // 0.
    uint32_t reserved;
    // How the device is reached, ended by a 0; cut off if it is longer.
    uint8_t name[64];
};

// One ESP or AH SA.
struct esnic_sa {
    // sizeof(struct esnic_sa).
    uint32_t size;
    // SPI as a number, not 0: ntohl of what the packet has.
    uint32_t spi;
    // enum esnic_protocol.
    uint8_t protocol;
    // enum esnic_direction.
    uint8_t direction;
    // enum esnic_mode.
    uint8_t mode;
    // enum esnic_algorithm.
    uint8_t algorithm;
    // Bytes of the integrity check value: 8, 12 or 16.
    uint8_t icv_len;
    // 4 or 6: IP version of src and dst.
    uint8_t family;
    // ESNIC_SA_ flags.
    uint16_t flags;
    // Replay window in packets.
    uint32_t replay_window;
    // UDP source port as a number; 0 without ESNIC_SA_UDP.
    uint16_t udp_src;
    // UDP destination port as a number; 0 without ESNIC_SA_UDP.
    uint16_t udp_dst;
    // Source address in the order of the wire, IPv4 in the first four bytes and 0 behind them;
    // all 0 for any.
    uint8_t src[16];
    // Destination address, in the same form.
    uint8_t dst[16];
    // High half of the highest sequence number used so far; 0 without ESNIC_SA_ESN.
    uint32_t hi;
    // Low half of it.
    uint32_t lo;
    // Key and behind it the salt of four bytes, as KEYMAT has them (RFC 4106 section 8.1). Read
    // during the call only. Wipe yours when you are done with it; the library wipes its copies.
    const uint8_t *key;
    // Bytes at key: 20, 28 or 36, as the algorithm has it.
    uint32_t key_len;
    // 0.
    uint32_t reserved;
};

// An SA, or a bundle of two, of one device: good from an add that succeeded until its deletion, also
// across resets, and never again. Never 0. It does not say which device: another one has SAs with the
// same handles.
typedef uint64_t esnic_handle;

// A request under way. Never 0. It is used up by the outcome, or by esnic_ticket_drop.
typedef uint64_t esnic_ticket;

// How the sequence numbers of one element shall move.
struct esnic_update {
    // sizeof(struct esnic_update).
    uint32_t size;
    // SPI that the element must have.
    uint32_t spi;
    // enum esnic_protocol: which element of a bundle.
    uint8_t protocol;
    // enum esnic_update_mode.
    uint8_t mode;
    // ESNIC_UPDATE_ flags.
    uint16_t flags;
    // With ESNIC_UPDATE_CAS: the high half that must be held. 0 without.
    uint32_t expected_hi;
    // New high half.
    uint32_t hi;
    // New low half with ESNIC_TOP; 0 without.
    uint32_t lo;
};

// One request of a batch, and what became of it.
struct esnic_item {
    // sizeof(struct esnic_item), the same in every item of a batch.
    uint32_t size;
    // enum esnic_op.
    uint32_t op;
    // Which SA.
    esnic_handle sa;
    // As in esnic_update, and 0 for a deletion.
    uint32_t spi;
    // As in esnic_update, and 0 for a deletion.
    uint8_t protocol;
    // As in esnic_update, and 0 for a deletion.
    uint8_t mode;
    // As in esnic_update, and 0 for a deletion.
    uint16_t flags;
    // As in esnic_update, and 0 for a deletion.
    uint32_t expected_hi;
    // As in esnic_update, and 0 for a deletion.
    uint32_t hi;
    // As in esnic_update, and 0 for a deletion.
    uint32_t lo;
    // Out: what esnic_ticket_wait would return for this item. ESNIC_E_FULL: it was not sent.
    int32_t error;
    // Out: as in esnic_outcome.
    uint32_t status;
    // Out: as in esnic_outcome. A batch of high halves is told whether each changed, not more.
    uint32_t outcome_flags;
    // Out: as in esnic_outcome; 0 where a batch of high halves is not told.
    uint64_t result;
};

// What the driver knows of an SA, without asking the device.
struct esnic_known {
    // sizeof(struct esnic_known), before the call.
    uint32_t size;
    // enum esnic_state.
    uint32_t state;
    // High half of the newest number known.
    uint32_t hi;
    // Low half of it.
    uint32_t lo;
    // ESNIC_KNOWN_ flags.
    uint32_t flags;
    // 0.
    uint32_t reserved;
};

// What the device said about a command.
struct esnic_outcome {
    // sizeof(struct esnic_outcome), before the call.
    uint32_t size;
    // enum esnic_status.
    uint32_t status;
    // ESNIC_OUTCOME_ flags.
    uint32_t flags;
    // 0.
    uint32_t reserved;
    // Update and query: hi * 2^32 + lo that the device holds now, also with CONFLICT and BACKWARD.
    uint64_t result;
};

// What a reset with restore did.
struct esnic_report {
    // sizeof(struct esnic_report), before the call.
    uint32_t size;
    // Elements that the device holds again.
    uint32_t restored;
    // SAs that it does not.
    uint32_t lost;
    // Commands that were under way, whose outcome is unknown.
    uint32_t aborted;
    // Rows that were read back in full and are right.
    uint32_t verified;
    // Rows that were read back and are not.
    uint32_t differences;
};

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

// Version of the interface that the library has: ESNIC_ABI_VERSION of the header that it came with.
uint32_t esnic_abi_version(void);

// Release of the library, as "0.1.0". The text lasts.
const char *esnic_version(void);

// What a return value means, in a sentence. Never NULL, also for a number that is none. The text
// lasts.
const char *esnic_strerror(int32_t error);

// Name of an esnic_outcome.status, as "CONFLICT"; "?" for a number that is none. The text lasts.
const char *esnic_status_name(uint32_t status);

// Copies the sentence that tells of the last call of this thread that failed: which argument, which
// file, what to do. It never has a key in it. A call that succeeds does not touch it.
//
// buffer: of `size` bytes; gets the text and a 0, cut off if it is longer. May be NULL if size is 0.
//
// Returns how many bytes the whole text has, without the 0.
size_t esnic_last_error(char *buffer,
                        size_t size);

// Opens a device: resets it and brings it up with an empty table. Waits up to reset_timeout_ms for
// either, and a tenth of a second for each queue pair.
//
// name: "model", the executable model in this process; "vfio-user:PATH", what another process serves
// on that socket; "0000:03:00.0", a PCI function that is bound to vfio-pci.
//
// device: gets its number, which esnic_close gives back.
//
// ESNIC_E_VERSION: another header. ESNIC_E_INVALID: no such name, or wishes that the device does not
// fulfil. ESNIC_E_HOST: it is not lent, or keys cannot be locked into memory. ESNIC_E_DEVICE: it is
// none of esnic's, or does not come up.
int32_t esnic_open(const char *name,
                   const struct esnic_config *config,
                   esnic_device *device);

// Closes a device: everything under way is aborted, the device is reset, keys are wiped. Its number,
// handles and tickets are good no more, whatever is returned. Calls that other threads are in end
// soon; what they use is freed by the last one.
//
// ESNIC_E_DEVICE, ESNIC_E_BUSY: it did not stop in order.
int32_t esnic_close(esnic_device device);

// Says what a device is and can do.
//
// ESNIC_E_DEVICE: it is gone.
int32_t esnic_caps(esnic_device device, struct esnic_caps *caps);

// Adds an SA. The key is copied during the call.
//
// sa: gets the handle, which is good once the ticket says ESNIC_OK. ticket: gets the ticket.
//
// ESNIC_E_INVALID, ESNIC_E_UNSUPPORTED: the SA contradicts itself, or is more than the device offers.
// ESNIC_E_TABLE_FULL, ESNIC_E_FULL, ESNIC_E_BUSY, ESNIC_E_CLOSED. Nothing has changed then.
int32_t esnic_add(esnic_device device,
                  const struct esnic_sa *spec,
                  esnic_handle *sa,
                  esnic_ticket *ticket);

// Adds an ESP SA and an AH SA of the same direction behind one handle; if one fails, the other is
// deleted again. As esnic_add otherwise.
int32_t esnic_add_bundle(esnic_device device,
                         const struct esnic_sa *esp,
                         const struct esnic_sa *ah,
                         esnic_handle *sa,
                         esnic_ticket *ticket);

// Moves the sequence numbers of one element. Updates of one SA take effect in the order of the calls.
// After one that timed out, the next is made a compare-and-set by the driver, so that it cannot pull
// the device back.
//
// ESNIC_E_BUSY: an earlier request for the SA is under way on the direct path, which takes one an SA:
// wait for its ticket, or esnic_poll, and try again. ESNIC_E_NOT_FOUND, ESNIC_E_MISMATCH, ESNIC_E_LOST,
// ESNIC_E_FULL, ESNIC_E_CLOSED. Nothing has changed then.
int32_t esnic_update(esnic_device device,
                     esnic_handle sa,
                     const struct esnic_update *update,
                     esnic_ticket *ticket);

// Deletes an SA, or both elements of a bundle. The handle is good no more at once.
//
// ESNIC_E_NOT_FOUND, ESNIC_E_FULL, ESNIC_E_BUSY, ESNIC_E_CLOSED: nothing has changed.
int32_t esnic_delete(esnic_device device, esnic_handle sa, esnic_ticket *ticket);

// Asks the device for the sequence numbers of an SA, of a bundle for those of its ESP element: they
// are the outcome's result.
//
// ESNIC_E_NOT_FOUND, ESNIC_E_LOST, ESNIC_E_FULL, ESNIC_E_BUSY, ESNIC_E_CLOSED: nothing was asked.
int32_t esnic_query(esnic_device device,
                    esnic_handle sa,
                    esnic_ticket *ticket);

// Sends many updates and deletions together, and waits for all of them up to timeout_ms milliseconds.
// Items of one SA take effect in their order. One that fails does not touch the others.
//
// items: `count` of them, at most ESNIC_MAX_ITEMS; their out members are written.
//
// failed: gets how many items did not succeed; may be NULL.
//
// ESNIC_E_ITEMS: some did not; each says why. ESNIC_E_INVALID, ESNIC_E_SIZE: an item makes no sense;
// nothing was sent, and no item written. ESNIC_E_DEVICE, ESNIC_E_CLOSED: the device failed on the
// way; items say how far it came.
int32_t esnic_batch(esnic_device device,
                    struct esnic_item *items,
                    uint32_t count,
                    uint32_t timeout_ms,
                    uint32_t *failed);

// Says what the driver knows of an SA, without asking the device: its state, and for one that is live
// the newest sequence numbers that the device has acknowledged.
//
// ESNIC_E_NOT_FOUND: no SA has this handle.
int32_t esnic_known(esnic_device device,
                    esnic_handle sa,
                    struct esnic_known *known);

// Takes whatever completions are there, and lets the driver do what it owes the device. Never waits
// for the device; where nothing is there, it gives the core away for some microseconds.
//
// taken: gets how many there were; may be NULL.
int32_t esnic_poll(esnic_device device,
                   uint32_t *taken);

// Looks for the outcome of a ticket; takes completions as esnic_poll does.
//
// ESNIC_OK, ESNIC_E_REFUSED, ESNIC_E_ABORTED: that is it, and the ticket is used up; outcome is
// written, unless NULL. ESNIC_E_PENDING: not yet. ESNIC_E_TICKET: no such ticket, or used up.
// ESNIC_E_BUSY: another thread waits for it.
int32_t esnic_ticket_look(esnic_device device,
                          esnic_ticket ticket,
                          struct esnic_outcome *outcome);

// Waits for the outcome of a ticket up to timeout_ms milliseconds. Taking completions of all tickets
// on the way, it needs no esnic_poll beside it.
//
// As esnic_ticket_look, and ESNIC_E_TIMEOUT: not yet; the command may still be carried out, and the
// ticket stays good. ESNIC_E_DEVICE: there will be none before esnic_recover; the ticket stays good.
int32_t esnic_ticket_wait(esnic_device device,
                          esnic_ticket ticket,
                          uint32_t timeout_ms,
                          struct esnic_outcome *outcome);

// Gives a ticket up, and its outcome. The command goes on, is never half done, and the driver follows
// it.
//
// ESNIC_E_TICKET: no such ticket, or used up. ESNIC_E_BUSY: another thread waits for it.
int32_t esnic_ticket_drop(esnic_device device,
                          esnic_ticket ticket);

// Looks whether the device and its queue pairs are well. A device that hangs wakes nobody: a loop that
// sleeps asks this now and then.
//
// ESNIC_E_DEVICE: what is wrong is in esnic_last_error.
int32_t esnic_check(esnic_device device);

// Resets a device and puts its table back, with unchanged handles and the newest sequence numbers that
// are known. Tickets end with ESNIC_E_ABORTED, requests of other threads fail with ESNIC_E_CLOSED
// meanwhile.
//
// flags: 0 or ESNIC_RECOVER_VERIFY_ALL.
//
// report: may be NULL. lost: gets the handles of up to `room` SAs that the device does not hold any
// more; may be NULL if room is 0.
//
// ESNIC_E_DEVICE: it does not come up; nothing is forgotten, so try again. ESNIC_E_BUSY: another
// thread is at it.
int32_t esnic_recover(esnic_device device,
                      uint32_t flags,
                      esnic_handle *lost,
                      uint32_t room,
                      struct esnic_report *report);

// Takes the interrupt of a queue pair (0 for the first) from the driver, as a file for poll or epoll:
// esnic_poll and look at the tickets; esnic_event_arm and look at the tickets again; sleep until the
// file is readable. What completes after that look makes it so; so do resets and esnic_close.
//
// fd: gets an eventfd that does not block. It is the caller's, who closes it; the device need not be
// open for that.
//
// ESNIC_E_NO_EVENT: no such pair, opened without ESNIC_OPEN_INTERRUPTS, or a device that is in this
// process and moves only while somebody polls.
int32_t esnic_event_fd(esnic_device device,
                       uint32_t pair,
                       int32_t *fd);

// Takes in what made the file readable, and asks for one interrupt at the next completion that no
// ticket shows yet. No need to read the file.
//
// ESNIC_E_NO_EVENT: esnic_event_fd was not called for this pair.
int32_t esnic_event_arm(esnic_device device,
                        uint32_t pair);

// Gives the interrupt back to the driver, whose waits sleep on it again. The file stays the caller's.
//
// ESNIC_E_NO_EVENT: esnic_event_fd was not called for this pair.
int32_t esnic_event_release(esnic_device device,
                            uint32_t pair);

// A file that becomes readable when the host wants the device back: somebody unbinds it, or is about
// to pull it out. The host waits until esnic_close.
//
// fd: gets it. It is the caller's, who closes it.
//
// ESNIC_E_NO_EVENT: this host or device tells of no such thing.
int32_t esnic_removal_fd(esnic_device device,
                         int32_t *fd);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* ESNIC_H */
