/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* The structures of IPsecOV2 as C has them, from the types of their members alone: the compiler finds the
 * offsets. Each is filled with numbers that are all different, and printed: its name, its length, and its
 * bytes; then each member's name, offset and length. tests/oid_layout.rs compares this with Rust. */
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
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

/* Every byte of every structure is different from its neighbours, padding too. */
static uint8_t image[512];

static void show(const char *name, size_t length) {
  printf("struct %s %zu ", name, length);
  for (size_t k = 0; k < length; k++) printf("%02x", image[k]);
  printf("\n");
}

#define STRUCT(type) show(#type, sizeof(type))
#define MEMBER(type, member) \
  printf("member %s %s %zu %zu\n", #type, #member, offsetof(type, member), sizeof(((type *)0)->member))

int main(void) {
  for (size_t k = 0; k < sizeof image; k++) image[k] = (uint8_t)(k * 7 + 3);

  STRUCT(ObjectHeader);
  MEMBER(ObjectHeader, Type);
  MEMBER(ObjectHeader, Revision);
  MEMBER(ObjectHeader, Size);

  STRUCT(UpdateSa);
  MEMBER(UpdateSa, OffloadHandle);
  MEMBER(UpdateSa, Operation);
  MEMBER(UpdateSa, Spi);
  MEMBER(UpdateSa, SequenceNumberHighOrder);

  STRUCT(DeleteSa);
  MEMBER(DeleteSa, Next);
  MEMBER(DeleteSa, OffloadHandle);

  STRUCT(SecurityAssociation);
  MEMBER(SecurityAssociation, Flags);
  MEMBER(SecurityAssociation, Operation);
  MEMBER(SecurityAssociation, Spi);
  MEMBER(SecurityAssociation, AuthenticationAlgorithm);
  MEMBER(SecurityAssociation, EncryptionAlgorithm);
  MEMBER(SecurityAssociation, EncryptionAlgorithm.KeyLength);
  MEMBER(SecurityAssociation, EncryptionAlgorithm.KeyOffsetBytes);
  MEMBER(SecurityAssociation, EncryptionAlgorithm.AdditionalInfo);
  MEMBER(SecurityAssociation, SequenceNumberHighOrder);

  STRUCT(AddSa);
  MEMBER(AddSa, Next);
  MEMBER(AddSa, NumExtHdrs);
  MEMBER(AddSa, Flags);
  MEMBER(AddSa, Endpoints.IPv4.Src);
  MEMBER(AddSa, Endpoints.IPv4.Dst);
  MEMBER(AddSa, Endpoints.IPv6.Src);
  MEMBER(AddSa, Endpoints.IPv6.Dst);
  MEMBER(AddSa, OffloadHandle);
  MEMBER(AddSa, UdpEspEncapsulation);
  MEMBER(AddSa, SecAssoc);
  MEMBER(AddSa, SecAssoc[1]);
  MEMBER(AddSa, KeyLength);
  MEMBER(AddSa, KeyData);

  STRUCT(AddSaEx);
  MEMBER(AddSaEx, NumExtHdrs);
  MEMBER(AddSaEx, Flags);
  MEMBER(AddSaEx, Endpoints.IPv4.Src);
  MEMBER(AddSaEx, Endpoints.IPv4.Dst);
  MEMBER(AddSaEx, Endpoints.IPv6.Src);
  MEMBER(AddSaEx, Endpoints.IPv6.Dst);
  MEMBER(AddSaEx, OffloadHandle);
  MEMBER(AddSaEx, UdpEspEncapsulation);
  MEMBER(AddSaEx, SecAssoc);
  MEMBER(AddSaEx, SecAssoc[1]);
  MEMBER(AddSaEx, KeyLength);
  MEMBER(AddSaEx, KeyOffset);
  MEMBER(AddSaEx, SourceSwitchPortId);
  MEMBER(AddSaEx, VlanId);

  STRUCT(IpsecOffloadV2);
  MEMBER(IpsecOffloadV2, Encapsulation);
  MEMBER(IpsecOffloadV2, IPv6Supported);
  MEMBER(IpsecOffloadV2, IPv4Options);
  MEMBER(IpsecOffloadV2, IPv6NonIPsecExtensionHeaders);
  MEMBER(IpsecOffloadV2, Ah);
  MEMBER(IpsecOffloadV2, Esp);
  MEMBER(IpsecOffloadV2, AhEspCombined);
  MEMBER(IpsecOffloadV2, Transport);
  MEMBER(IpsecOffloadV2, Tunnel);
  MEMBER(IpsecOffloadV2, TransportTunnelCombined);
  MEMBER(IpsecOffloadV2, LsoSupported);
  MEMBER(IpsecOffloadV2, ExtendedSequenceNumbers);
  MEMBER(IpsecOffloadV2, UdpEsp);
  MEMBER(IpsecOffloadV2, AuthenticationAlgorithms);
  MEMBER(IpsecOffloadV2, EncryptionAlgorithms);
  MEMBER(IpsecOffloadV2, SaOffloadCapacity);

  STRUCT(OffloadParameters);
  MEMBER(OffloadParameters, Flags);
  MEMBER(OffloadParameters, IPsecV2);
  MEMBER(OffloadParameters, IPsecV2IPv4);

  STRUCT(OffloadEncapsulation);
  MEMBER(OffloadEncapsulation, IPv4);
  MEMBER(OffloadEncapsulation, IPv4.EncapsulationType);
  MEMBER(OffloadEncapsulation, IPv4.HeaderSize);
  MEMBER(OffloadEncapsulation, IPv6);
  return 0;
}
