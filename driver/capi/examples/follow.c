/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/*
 * What an IKE daemon does with a NIC: adds SAs, advances the high halves of their sequence numbers
 * across a wrap of the low ones, asks, deletes. Says what it did, checks everything, and exits with 1
 * if anything differs from what it should be.
 *
 *     cc -std=c11 follow.c $(pkg-config --cflags --libs esnic) && ./a.out [DEVICE]
 */
#include <esnic.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TUNNELS = 64, SPI_OUT = 0x1000, SPI_IN = 0x2000, SPI_AH = 0x3000, PATIENCE_MS = 5000 };

static int differences;

/* One thing that has to be so. */
#define CHECK(condition, ...)                                            \
    do {                                                                 \
        if (!(condition)) {                                              \
            differences++;                                               \
            printf("DIFFERS at line %d (%s): ", __LINE__, #condition);   \
            printf(__VA_ARGS__);                                         \
            printf("\n");                                                \
        }                                                                \
    } while (0)

/* A call without which the rest makes no sense. */
static void must(int32_t error, const char *what)
{
    char text[256];

    if (error == ESNIC_OK)
        return;
    esnic_last_error(text, sizeof text);
    fprintf(stderr, "follow: %s: %s (%" PRId32 "): %s\n", what, esnic_strerror(error), error, text);
    exit(1);
}

/* Waits for a ticket that must say OK, and returns the result. */
static uint64_t done(esnic_device nic, esnic_ticket ticket, const char *what)
{
    struct esnic_outcome outcome = { .size = sizeof outcome };

    must(esnic_ticket_wait(nic, ticket, PATIENCE_MS, &outcome), what);
    CHECK(outcome.status == ESNIC_STATUS_OK, "%s: %s", what, esnic_status_name(outcome.status));
    /* Used up: a number is good once. */
    CHECK(esnic_ticket_look(nic, ticket, NULL) == ESNIC_E_TICKET, "%s: the ticket is good twice", what);
    return outcome.result;
}

/* A test key, its salt behind it: no two tunnels have the same. */
static void make_key(uint8_t key[36], uint32_t spi)
{
    for (uint32_t k = 0; k < 36; k++)
        key[k] = (uint8_t)(spi * 31 + k);
}

static struct esnic_sa describe(uint32_t spi, uint8_t direction, uint32_t hi, uint32_t lo)
{
    struct esnic_sa sa = {
        .size = sizeof sa,
        .spi = spi,
        .protocol = ESNIC_ESP,
        .direction = direction,
        .mode = ESNIC_TUNNEL,
        .algorithm = ESNIC_AES_GCM_256,
        .icv_len = 16,
        .family = 4,
        .flags = ESNIC_SA_ESN | ESNIC_SA_LO_KNOWN,
        .replay_window = 1024,
        .src = { 192, 0, 2, 1 },
        .dst = { 198, 51, 100, 1 },
        .hi = hi,
        .lo = lo,
        .key_len = 36,
    };

    return sa;
}

static esnic_handle add(esnic_device nic, uint32_t spi, uint8_t direction)
{
    struct esnic_sa sa = describe(spi, direction, 4, 0xfffffff0);
    uint8_t key[36];
    esnic_handle handle;
    esnic_ticket ticket;

    make_key(key, spi);
    sa.key = key;
    must(esnic_add(nic, &sa, &handle, &ticket), "add");
    /* The library has its own copy, and wipes that. A daemon uses explicit_bzero here. */
    memset(key, 0, sizeof key);
    done(nic, ticket, "add");
    return handle;
}

static uint64_t query(esnic_device nic, esnic_handle sa)
{
    esnic_ticket ticket;

    must(esnic_query(nic, sa, &ticket), "query");
    return done(nic, ticket, "query");
}

/* The low halves wrap: the high half moves on, in each of the modes. */
static void wrap_one(esnic_device nic, esnic_handle sa, uint32_t spi)
{
    struct esnic_update update = { .size = sizeof update, .spi = spi, .protocol = ESNIC_ESP };
    struct esnic_outcome outcome = { .size = sizeof outcome };
    struct esnic_known known = { .size = sizeof known };
    esnic_ticket ticket;
    int32_t error;

    /* The wrap, told by the high half alone, as IPsecOV2 does: the low half begins at 0. */
    update.mode = ESNIC_HI;
    update.hi = 5;
    must(esnic_update(nic, sa, &update, &ticket), "high half");
    CHECK(done(nic, ticket, "high half") == 0x500000000, "not 5:0");

    /* Both halves, for whoever knows them. */
    update.mode = ESNIC_TOP;
    update.lo = 0xfffffff1;
    must(esnic_update(nic, sa, &update, &ticket), "both halves");
    CHECK(done(nic, ticket, "both halves") == 0x5fffffff1, "not 5:fffffff1");

    /* The next wrap, only from 5 to 6; and late, when the device holds 6 already. */
    update.mode = ESNIC_HI;
    update.lo = 0;
    update.flags = ESNIC_UPDATE_CAS;
    update.expected_hi = 5;
    update.hi = 6;
    must(esnic_update(nic, sa, &update, &ticket), "compare-and-set");
    CHECK(done(nic, ticket, "compare-and-set") == 0x600000000, "not 6:0");
    update.hi = 7;
    must(esnic_update(nic, sa, &update, &ticket), "late compare-and-set");
    error = esnic_ticket_wait(nic, ticket, PATIENCE_MS, &outcome);
    CHECK(error == ESNIC_E_REFUSED, "%s", esnic_strerror(error));
    CHECK(outcome.status == ESNIC_STATUS_CONFLICT, "%s", esnic_status_name(outcome.status));
    CHECK(outcome.result >> 32 == 6, "the conflict is with %" PRIu64, outcome.result >> 32);

    update.flags = ESNIC_UPDATE_MONOTONE;
    update.expected_hi = 0;
    update.hi = 5;
    must(esnic_update(nic, sa, &update, &ticket), "step backward");
    error = esnic_ticket_wait(nic, ticket, PATIENCE_MS, &outcome);
    CHECK(error == ESNIC_E_REFUSED, "%s", esnic_strerror(error));
    CHECK(outcome.status == ESNIC_STATUS_BACKWARD, "%s", esnic_status_name(outcome.status));

    CHECK(query(nic, sa) == 0x600000000, "the device does not hold 6:0");
    must(esnic_known(nic, sa, &known), "what is known");
    CHECK(known.state == ESNIC_LIVE && known.hi == 6 && known.lo == 0 && known.flags == ESNIC_KNOWN_LO,
          "state %" PRIu32 ", %" PRIu32 ":%" PRIu32, known.state, known.hi, known.lo);
    printf("SPI %#" PRIx32 ": 4:fffffff0 -> 5:0 -> 5:fffffff1 -> 6:0; a late 5 -> 7 and a step back to 5"
           " were refused\n", spi);

    /* An update that names what the SA is not does not even leave. */
    update.spi++;
    CHECK(esnic_update(nic, sa, &update, &ticket) == ESNIC_E_MISMATCH, "another SPI was taken");
}

/* The high halves of all tunnels at once, one of them wrong. */
static void wrap_all(esnic_device nic, const esnic_handle *out, const esnic_handle *in)
{
    static struct esnic_item items[2 * TUNNELS + 1];
    const uint32_t count = 2 * TUNNELS + 1;
    uint32_t failed = 0;
    int32_t error;

    for (uint32_t k = 0; k < count; k++) {
        const uint32_t tunnel = k / 2 % TUNNELS;
        items[k] = (struct esnic_item) {
            .size = sizeof items[k],
            .op = ESNIC_OP_UPDATE,
            .sa = k % 2 ? in[tunnel] : out[tunnel],
            .spi = (k % 2 ? SPI_IN : SPI_OUT) + tunnel,
            .protocol = ESNIC_ESP,
            .mode = ESNIC_HI,
            .hi = 9,
        };
    }
    /* The last item once more, with a handle that never was. */
    items[count - 1].sa = 1;
    error = esnic_batch(nic, items, count, PATIENCE_MS, &failed);
    CHECK(error == ESNIC_E_ITEMS, "%s", esnic_strerror(error));
    CHECK(failed == 1, "%" PRIu32 " items failed", failed);
    for (uint32_t k = 0; k < count - 1; k++) {
        CHECK(items[k].error == ESNIC_OK, "item %" PRIu32 ": %s", k, esnic_strerror(items[k].error));
        CHECK(items[k].outcome_flags & ESNIC_OUTCOME_CHANGED, "item %" PRIu32 " changed nothing", k);
    }
    CHECK(items[count - 1].error == ESNIC_E_NOT_FOUND, "%s", esnic_strerror(items[count - 1].error));
    for (uint32_t k = 0; k < TUNNELS; k++) {
        CHECK(query(nic, out[k]) >> 32 == 9, "out %" PRIu32, k);
        CHECK(query(nic, in[k]) >> 32 == 9, "in %" PRIu32, k);
    }
    printf("batch: %d high halves -> 9, each asked back; 1 item without an SA was named\n", 2 * TUNNELS);
}

/* ESP and AH behind one handle. */
static void bundle(esnic_device nic)
{
    struct esnic_sa esp = describe(SPI_OUT + 0x100, ESNIC_OUT, 0, 1);
    struct esnic_sa ah = describe(SPI_AH, ESNIC_OUT, 0, 1);
    struct esnic_update update = { .size = sizeof update, .mode = ESNIC_HI, .hi = 1 };
    uint8_t key[36];
    esnic_handle sa;
    esnic_ticket ticket;

    make_key(key, SPI_AH);
    esp.key = ah.key = key;
    ah.protocol = ESNIC_AH;
    ah.algorithm = ESNIC_AES_GMAC_256;
    must(esnic_add_bundle(nic, &esp, &ah, &sa, &ticket), "add of a bundle");
    memset(key, 0, sizeof key);
    done(nic, ticket, "add of a bundle");
    update.protocol = ESNIC_AH;
    update.spi = ah.spi;
    must(esnic_update(nic, sa, &update, &ticket), "update of the AH element");
    CHECK(done(nic, ticket, "update of the AH element") >> 32 == 1, "AH is not at 1");
    CHECK(query(nic, sa) >> 32 == 0, "ESP moved with it");
    must(esnic_delete(nic, sa, &ticket), "deletion of a bundle");
    done(nic, ticket, "deletion of a bundle");
    CHECK(esnic_query(nic, sa, &ticket) == ESNIC_E_NOT_FOUND, "the handle outlives its bundle");
    printf("bundle: ESP and AH behind one handle, AH advanced alone, both deleted\n");
}

/* What was there survives a reset. */
static void reset(esnic_device nic, const esnic_handle *out)
{
    struct esnic_report report = { .size = sizeof report };

    must(esnic_recover(nic, ESNIC_RECOVER_VERIFY_ALL, NULL, 0, &report), "recover");
    CHECK(report.restored == 2 * TUNNELS, "%" PRIu32 " restored", report.restored);
    CHECK(report.verified == 2 * TUNNELS, "%" PRIu32 " verified", report.verified);
    CHECK(report.lost == 0 && report.differences == 0, "%" PRIu32 " lost, %" PRIu32 " differ",
          report.lost, report.differences);
    CHECK(query(nic, out[0]) >> 32 == 9, "the old handle does not find 9");
    printf("reset: %" PRIu32 " SAs restored and read back, handles unchanged\n", report.restored);
}

/* All go: one half one by one, by tickets that are looked at; the other in a batch. */
static void delete_all(esnic_device nic, const esnic_handle *out, const esnic_handle *in)
{
    static struct esnic_item items[TUNNELS];
    esnic_ticket tickets[TUNNELS];
    int32_t error;

    for (uint32_t k = 0; k < TUNNELS; k++)
        must(esnic_delete(nic, out[k], &tickets[k]), "delete");
    for (uint32_t k = 0; k < TUNNELS; k++) {
        while ((error = esnic_ticket_look(nic, tickets[k], NULL)) == ESNIC_E_PENDING)
            must(esnic_check(nic), "check");
        must(error, "delete");
        items[k] = (struct esnic_item) {
            .size = sizeof items[k], .op = ESNIC_OP_DELETE, .sa = in[k]
        };
    }
    must(esnic_batch(nic, items, TUNNELS, PATIENCE_MS, NULL), "batch of deletions");
    printf("delete: %d SAs\n", 2 * TUNNELS);
}

int main(int argc, char **argv)
{
    const char *name = argc > 1 ? argv[1] : "model";
    struct esnic_config config = {
        .size = sizeof config,
        .abi_version = ESNIC_ABI_VERSION,
        /* These are test keys. A daemon does without. */
        .flags = ESNIC_OPEN_SWAPPABLE_KEYS,
    };
    struct esnic_caps before = { .size = sizeof before }, after = { .size = sizeof after };
    esnic_handle out[TUNNELS], in[TUNNELS];
    esnic_device nic;
    esnic_ticket ticket;

    CHECK(esnic_abi_version() == ESNIC_ABI_VERSION, "the library has %#" PRIx32, esnic_abi_version());
    must(esnic_open(name, &config, &nic), name);
    must(esnic_caps(nic, &before), "caps");
    printf("esnic %s: %s, %" PRIu32 " rows\n", esnic_version(), (const char *)before.name,
           before.sa_capacity);
    for (uint32_t k = 0; k < TUNNELS; k++) {
        out[k] = add(nic, SPI_OUT + k, ESNIC_OUT);
        in[k] = add(nic, SPI_IN + k, ESNIC_IN);
    }
    printf("add: %d SAs in both directions, at 4:fffffff0\n", 2 * TUNNELS);
    wrap_one(nic, out[0], SPI_OUT);
    wrap_all(nic, out, in);
    bundle(nic);
    reset(nic, out);
    delete_all(nic, out, in);
    must(esnic_poll(nic, NULL), "poll");
    must(esnic_caps(nic, &after), "caps");
    CHECK(after.room == before.room, "room for %" PRIu32 ", before %" PRIu32, after.room, before.room);
    must(esnic_close(nic), "close");
    CHECK(esnic_query(nic, out[0], &ticket) == ESNIC_E_HANDLE, "a closed device answers");
    if (differences) {
        printf("%d DIFFERENCES\n", differences);
        return 1;
    }
    printf("all as it should be\n");
    return 0;
}
