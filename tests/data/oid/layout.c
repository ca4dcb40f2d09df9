/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* The structures of IPsecOV2 as C has them. The compiler lays them out from the types of their members, and
 * is held to the lengths and offsets of Windows on x64, which stand beside each.
 *
 * Without input, every structure is filled with bytes that are all different. Else each line of the input is
 * a name and the bytes of a structure that Rust has written. What is printed of each is the same: its
 * name, its length and its bytes; then each member's name, and the bytes that C finds there.
 * tests/oid_layout.rs compares both with what Rust finds and with what it wrote. */
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct { uint8_t Type, Revision; uint16_t Size; } ObjectHeader;
typedef int32_t Operation; /* an enum of the WDK: four bytes */

typedef struct { uint32_t Identifier, KeyLength, KeyOffsetBytes, AdditionalInfo; } AlgorithmInfo;

typedef struct {
  uint32_t Flags;
  Operation Operation;
  uint32_t Spi;
  AlgorithmInfo AuthenticationAlgorithm, EncryptionAlgorithm;
  uint32_t SequenceNumberHighOrder;
} SecurityAssociation;

typedef union {
  struct { uint32_t Src, Dst; } IPv4;
  struct { uint8_t Src[16], Dst[16]; } IPv6;
} Endpoints;

typedef struct AddSa {
  ObjectHeader Header;
  struct AddSa *Next;
  uint32_t NumExtHdrs, Flags;
  Endpoints Endpoints;
  void *OffloadHandle;
  uint32_t UdpEspEncapsulation;
  SecurityAssociation SecAssoc[2];
  uint32_t KeyLength;
  uint8_t KeyData[1];
} AddSa;

typedef struct {
  ObjectHeader Header;
  uint32_t NumExtHdrs, Flags;
  Endpoints Endpoints;
  void *OffloadHandle;
  uint32_t UdpEspEncapsulation;
  SecurityAssociation SecAssoc[2];
  uint32_t KeyLength, KeyOffset, SourceSwitchPortId;
  uint16_t VlanId;
} AddSaEx;

typedef struct {
  ObjectHeader Header;
  void *OffloadHandle;
  Operation Operation;
  uint32_t Spi, SequenceNumberHighOrder;
} UpdateSa;

typedef struct DeleteSa {
  ObjectHeader Header;
  struct DeleteSa *Next;
  void *OffloadHandle;
} DeleteSa;

typedef struct {
  uint32_t Encapsulation;
  uint8_t IPv6Supported, IPv4Options, IPv6NonIPsecExtensionHeaders, Ah, Esp, AhEspCombined, Transport, Tunnel,
      TransportTunnelCombined, LsoSupported, ExtendedSequenceNumbers;
  uint32_t UdpEsp, AuthenticationAlgorithms, EncryptionAlgorithms, SaOffloadCapacity;
} IpsecOffloadV2;

typedef struct {
  ObjectHeader Header;
  uint8_t IPv4Checksum, TCPIPv4Checksum, UDPIPv4Checksum, TCPIPv6Checksum, UDPIPv6Checksum, LsoV1, IPsecV1,
      LsoV2IPv4, LsoV2IPv6, TcpConnectionIPv4, TcpConnectionIPv6;
  uint32_t Flags;
  uint8_t IPsecV2, IPsecV2IPv4;
} OffloadParameters;

typedef struct { uint32_t Enabled, EncapsulationType, HeaderSize; } EncapsulationOf;
typedef struct { ObjectHeader Header; EncapsulationOf IPv4, IPv6; } OffloadEncapsulation;

/* What revision 1 of NDIS_OFFLOAD has, as words: nothing here looks into them. */
typedef struct { uint32_t IPv4Transmit[2], IPv4Receive[2], IPv6Transmit[2], IPv6Receive[2]; } ChecksumOffload;
typedef struct { uint32_t IPv4[4]; } LargeSendV1;
typedef struct { uint32_t Supported[5], IPv4AH, IPv4ESP; } IpsecOffloadV1;
typedef struct { uint32_t IPv4[3], IPv6[4]; } LargeSendV2;

typedef struct {
  ObjectHeader Header;
  ChecksumOffload Checksum;
  LargeSendV1 LsoV1;
  IpsecOffloadV1 IPsecV1;
  LargeSendV2 LsoV2;
  uint32_t Flags;
  IpsecOffloadV2 IPsecV2;
} Offload;

#define HEADER(M, T) M(T, Header.Type, 0) M(T, Header.Revision, 1) M(T, Header.Size, 2)

#define ALGORITHM(M, T, a, at) \
  M(T, a.Identifier, at) M(T, a.KeyLength, at + 4) M(T, a.KeyOffsetBytes, at + 8) M(T, a.AdditionalInfo, at + 0xC)

#define ELEMENT(M, T, e, at) \
  M(T, e.Flags, at) M(T, e.Operation, at + 4) M(T, e.Spi, at + 8) \
  ALGORITHM(M, T, e.AuthenticationAlgorithm, at + 0xC) \
  ALGORITHM(M, T, e.EncryptionAlgorithm, at + 0x1C) \
  M(T, e.SequenceNumberHighOrder, at + 0x2C)

#define ENDPOINTS(M, T, at) \
  M(T, Endpoints.IPv4.Src, at) M(T, Endpoints.IPv4.Dst, at + 4) \
  M(T, Endpoints.IPv6.Src, at) M(T, Endpoints.IPv6.Dst, at + 0x10)

#define UPDATE_SA(M, T) \
  HEADER(M, T) \
  M(T, OffloadHandle, 0x08) M(T, Operation, 0x10) M(T, Spi, 0x14) M(T, SequenceNumberHighOrder, 0x18)

#define DELETE_SA(M, T) HEADER(M, T) M(T, Next, 0x08) M(T, OffloadHandle, 0x10)

#define ADD_SA(M, T) \
  HEADER(M, T) \
  M(T, Next, 0x08) M(T, NumExtHdrs, 0x10) M(T, Flags, 0x14) \
  ENDPOINTS(M, T, 0x18) \
  M(T, OffloadHandle, 0x38) M(T, UdpEspEncapsulation, 0x40) \
  ELEMENT(M, T, SecAssoc[0], 0x44) ELEMENT(M, T, SecAssoc[1], 0x74) \
  M(T, KeyLength, 0xA4) M(T, KeyData, 0xA8)

#define ADD_SA_EX(M, T) \
  HEADER(M, T) \
  M(T, NumExtHdrs, 0x04) M(T, Flags, 0x08) \
  ENDPOINTS(M, T, 0x0C) \
  M(T, OffloadHandle, 0x30) M(T, UdpEspEncapsulation, 0x38) \
  ELEMENT(M, T, SecAssoc[0], 0x3C) ELEMENT(M, T, SecAssoc[1], 0x6C) \
  M(T, KeyLength, 0x9C) M(T, KeyOffset, 0xA0) M(T, SourceSwitchPortId, 0xA4) M(T, VlanId, 0xA8)

#define CAPABILITIES(M, T, of, at) \
  M(T, of Encapsulation, at) M(T, of IPv6Supported, at + 4) M(T, of IPv4Options, at + 5) \
  M(T, of IPv6NonIPsecExtensionHeaders, at + 6) M(T, of Ah, at + 7) M(T, of Esp, at + 8) \
  M(T, of AhEspCombined, at + 9) M(T, of Transport, at + 0xA) M(T, of Tunnel, at + 0xB) \
  M(T, of TransportTunnelCombined, at + 0xC) M(T, of LsoSupported, at + 0xD) \
  M(T, of ExtendedSequenceNumbers, at + 0xE) M(T, of UdpEsp, at + 0x10) \
  M(T, of AuthenticationAlgorithms, at + 0x14) M(T, of EncryptionAlgorithms, at + 0x18) \
  M(T, of SaOffloadCapacity, at + 0x1C)

#define IPSEC_OFFLOAD_V2(M, T) CAPABILITIES(M, T, , 0)

#define OFFLOAD(M, T) \
  HEADER(M, T) \
  M(T, Checksum, 4) M(T, LsoV1, 36) M(T, IPsecV1, 52) M(T, LsoV2, 80) M(T, Flags, 108) \
  CAPABILITIES(M, T, IPsecV2., 112)

#define PARAMETERS(M, T) \
  HEADER(M, T) \
  M(T, IPv4Checksum, 4) M(T, TCPIPv4Checksum, 5) M(T, UDPIPv4Checksum, 6) M(T, TCPIPv6Checksum, 7) \
  M(T, UDPIPv6Checksum, 8) M(T, LsoV1, 9) M(T, IPsecV1, 0xA) M(T, LsoV2IPv4, 0xB) M(T, LsoV2IPv6, 0xC) \
  M(T, TcpConnectionIPv4, 0xD) M(T, TcpConnectionIPv6, 0xE) \
  M(T, Flags, 0x10) M(T, IPsecV2, 0x14) M(T, IPsecV2IPv4, 0x15)

#define ENCAPSULATION(M, T) \
  HEADER(M, T) \
  M(T, IPv4.Enabled, 4) M(T, IPv4.EncapsulationType, 8) M(T, IPv4.HeaderSize, 12) \
  M(T, IPv6.Enabled, 16) M(T, IPv6.EncapsulationType, 20) M(T, IPv6.HeaderSize, 24)

/* Name, members, length; and where its last member ends, which is what must be there at least. */
#define EACH(S) \
  S(UpdateSa, UPDATE_SA, SequenceNumberHighOrder, 0x20, 0x1C) \
  S(DeleteSa, DELETE_SA, OffloadHandle, 0x18, 0x18) \
  S(AddSa, ADD_SA, KeyData, 0xB0, 0xA9) \
  S(AddSaEx, ADD_SA_EX, VlanId, 0xB0, 0xAA) \
  S(IpsecOffloadV2, IPSEC_OFFLOAD_V2, SaOffloadCapacity, 32, 32) \
  S(Offload, OFFLOAD, IPsecV2, 144, 144) \
  S(OffloadParameters, PARAMETERS, IPsecV2IPv4, 24, 22) \
  S(OffloadEncapsulation, ENCAPSULATION, IPv6, 28, 28)

_Static_assert(sizeof(SecurityAssociation) == 48, "an element");
_Static_assert(offsetof(Offload, Flags) + sizeof(uint32_t) == 112, "NDIS_OFFLOAD, revision 1");

static void digits(const void *from, size_t length) {
  for (size_t k = 0; k < length; k++) printf("%02x", ((const uint8_t *)from)[k]);
  printf("\n");
}

#define MEMBER(T, member, at) \
  _Static_assert(offsetof(T, member) == (at), #T "." #member); \
  printf("member %s ", #member); \
  digits(&one->member, sizeof one->member);

#define PRINT(T, members, last, length, least) \
  _Static_assert(sizeof(T) == (length), #T); \
  _Static_assert(offsetof(T, last) + sizeof(((T *)0)->last) == (least), #T); \
  static void print_##T(const T *one) { \
    printf("struct %s %zu ", #T, sizeof(T)); \
    digits(one, sizeof(T)); \
    members(MEMBER, T) \
  }
EACH(PRINT)

static void fail(const char *what) {
  fprintf(stderr, "%s\n", what);
  exit(1);
}

/* The bytes of a structure of this length. */
static void *taken(const char *text, size_t length) {
  uint8_t *bytes = malloc(length);
  if (!bytes) fail("no memory");
  if (strlen(text) != 2 * length) fail("another length than C's");
  for (size_t k = 0; k < length; k++)
    if (sscanf(text + 2 * k, "%2hhx", bytes + k) != 1) fail("no digits");
  return bytes;
}

static void *filled(size_t length) {
  uint8_t *bytes = malloc(length);
  if (!bytes) fail("no memory");
  for (size_t k = 0; k < length; k++) bytes[k] = (uint8_t)(k * 7 + 3);
  return bytes;
}

#define TAKE(T, members, last, length, least) \
  if (!strcmp(name, #T)) { \
    T *one = taken(text, sizeof(T)); \
    print_##T(one); \
    free(one); \
    continue; \
  }

#define FILL(T, members, last, length, least) \
  { \
    T *one = filled(sizeof(T)); \
    print_##T(one); \
    free(one); \
  }

int main(void) {
  char name[64], text[1024];
  int lines = 0;
  for (; scanf("%63s %1023s", name, text) == 2; lines++) {
    EACH(TAKE)
    fail("no such structure");
  }
  if (!lines) { EACH(FILL) }
  return 0;
}
