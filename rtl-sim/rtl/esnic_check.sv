// SPDX-License-Identifier: Apache-2.0 OR MIT
//
// Statuses 1 to 7 of the table in 4.7, which need no look at the SA table, and the decoding of a command
// into a beat of the pipeline. Purely combinational. The order of the checks is the contract.
module esnic_check
  import esnic_abi_pkg::*;
  import esnic_pkg::*;
#(
  parameter int unsigned SaCapacity = 4096
) (
  input  straps_t       straps_i,
  input  logic [15:0]   epoch_i,
  input  logic          ring_i,
  input  logic          second_i,     // an ADD's second half can be where it belongs (R9)
  input  line_t         slot0_i,
  input  line_t         slot1_i,
  input  logic [1:0]    item_i,       // of UPDATE4

  // Direct path: what the doorbell said, and what was staged.
  input  logic [23:0]   bell_index_i,
  input  logic [30:0]   bell_cookie_i,
  input  logic          tagged_i,
  input  logic [31:0]   written_i,

  output logic          staged_o,     // by ring, or all of it was staged
  output beat_t         beat_o,
  output cfg_t          row_o         // what an ADD stores
);
  header_t  header;
  bare_t    bare;
  add_t     add;
  update_t  update;
  update4_t update4;
  query_t   query;
  resolve_t resolve;

  assign bare = slot0_i;
  assign add = {slot1_i, slot0_i};
  assign update = slot0_i;
  assign update4 = slot0_i;
  assign query = slot0_i;
  assign resolve = slot0_i;
  assign header = bare.header;

  // ---- 1: STAGE -----------------------------------------------------------------------------------

  logic [31:0] required;
  logic stage_ok;

  always_comb begin
    required = 32'h0000_000F;
    unique case (header.opcode)
      8'(OPCODE_ADD): required = '1;
      8'(OPCODE_UPDATE): required = ((header.flags & UPDATE_CAS) != '0) ? 32'h1FF : 32'hFF;
      8'(OPCODE_QUERY): if ((header.flags & QUERY_RECORD) != '0) required = 32'h3F;
      8'(OPCODE_RESOLVE): required = 32'h1F;
      default: ;
    endcase
  end

  assign stage_ok = tagged_i && (written_i & required) == required &&
                    header.index == 32'(bell_index_i) && header.cookie == 32'(bell_cookie_i);

  // ---- 2: BAD_OPCODE ------------------------------------------------------------------------------

  logic opcode_ok;

  always_comb begin
    unique case (header.opcode)
      8'(OPCODE_NOP), 8'(OPCODE_FENCE): opcode_ok = ring_i;
      8'(OPCODE_UPDATE4): opcode_ok = ring_i && straps_i.features[GLOBAL_FEATURES_UPDATE4_LSB];
      8'(OPCODE_RESOLVE): opcode_ok = straps_i.features[GLOBAL_FEATURES_PROBE_LSB];
      8'(OPCODE_ADD), 8'(OPCODE_UPDATE), 8'(OPCODE_DELETE), 8'(OPCODE_QUERY): opcode_ok = 1'b1;
      default: opcode_ok = 1'b0;
    endcase
  end

  // ---- 4: BAD_PAIR --------------------------------------------------------------------------------

  logic pair_ok;
  assign pair_ok = second_i && add.second_opcode == 8'(OPCODE_ADD_SECOND) &&
                   add.second_epoch == header.epoch && add.second_cookie == header.cookie;

  // ---- 5: BAD_FIELD -------------------------------------------------------------------------------

  logic [7:0] flags_known;
  logic addressed, unaddressed, common, fields_ok, add_ok, update_ok, update4_ok, query_ok;

  always_comb begin
    unique case (header.opcode)
      8'(OPCODE_UPDATE): flags_known = UPDATE_CAS | UPDATE_MONOTONE;
      8'(OPCODE_UPDATE4): flags_known = UPDATE4_COUNT_MASK | UPDATE4_STEP;
      8'(OPCODE_QUERY): flags_known = QUERY_RECORD | QUERY_ANY;
      8'(OPCODE_RESOLVE): flags_known = RESOLVE_COMMIT;
      default: flags_known = '0;
    endcase
  end

  assign common = (header.flags & ~flags_known) == '0 && !header.cookie[31];
  assign addressed = common && header.generation != '0;
  assign unaddressed = common && header.generation == '0 && header.index == '0;

  // ADD (4.2).
  logic gmac, aes128, aes192, alg_ok, icv_ok, esp, ah, udp, v4, esn, lo_valid, key_ok, enums_ok;

  assign alg_ok = add.algorithm inside {ALGORITHM_AES_GCM_128, ALGORITHM_AES_GCM_192,
      ALGORITHM_AES_GCM_256, ALGORITHM_AES_GMAC_128, ALGORITHM_AES_GMAC_192,
      ALGORITHM_AES_GMAC_256};
  assign gmac = add.algorithm >= ALGORITHM_AES_GMAC_128;
  assign aes128 = add.algorithm inside {ALGORITHM_AES_GCM_128, ALGORITHM_AES_GMAC_128};
  assign aes192 = add.algorithm inside {ALGORITHM_AES_GCM_192, ALGORITHM_AES_GMAC_192};
  assign icv_ok = add.icv_len == 8'd16 || (add.icv_len inside {8'd8, 8'd12} && !gmac);
  assign esp = add.protocol == PROTOCOL_ESP;
  assign ah = add.protocol == PROTOCOL_AH;
  assign udp = add.udp_encap != UDP_ENCAP_NONE;
  assign v4 = add.family == 8'd4;
  assign esn = (add.sa_flags & SA_ESN) != '0;
  assign lo_valid = (add.second_flags & ADD_LO_VALID) != '0;
  assign key_ok = aes128 ? add.key[255:128] == '0 : !aes192 || add.key[255:192] == '0;
  assign enums_ok = (esp || ah) && alg_ok &&
      add.direction inside {DIRECTION_IN, DIRECTION_OUT} &&
      add.mode inside {MODE_TRANSPORT, MODE_TUNNEL} &&
      (v4 || add.family == 8'd6) &&
      add.udp_encap inside {UDP_ENCAP_NONE, UDP_ENCAP_TRANSPORT, UDP_ENCAP_TUNNEL,
        UDP_ENCAP_TRANSPORT_OVER_UDP_TUNNEL, UDP_ENCAP_UDP_TRANSPORT_OVER_TUNNEL};
  assign add_ok = addressed && add.spi != '0 && enums_ok && icv_ok && key_ok &&
      (!v4 || (add.src[127:32] == '0 && add.dst[127:32] == '0)) &&
      (esp || (gmac && !udp)) &&
      (udp || (add.udp_src == '0 && add.udp_dst == '0)) &&
      (add.sa_flags & ~SA_ESN) == '0 && add.rsvd0 == '0 && add.rsvd1 == '0 &&
      (add.second_flags & ~ADD_LO_VALID) == '0 &&
      (esn || add.hi == '0) && (lo_valid || add.lo == '0);

  // UPDATE (4.3).
  logic cas;
  assign cas = (header.flags & UPDATE_CAS) != '0;
  assign update_ok = addressed && update.protocol inside {PROTOCOL_AH, PROTOCOL_ESP} &&
      update.mode inside {UPDATE_MODE_HI, UPDATE_MODE_TOP, UPDATE_MODE_RESYNC} &&
      update.rsvd0 == '0 && update.rsvd1 == '0 &&
      (update.mode == UPDATE_MODE_TOP || update.lo == '0) && (cas || update.expected_hi == '0);

  // UPDATE4 (4.4): the items that count are checked one by one, in the pipeline.
  logic [2:0] count;
  assign count = header.flags[2:0];
  assign update4_ok = update4_fields(update4);

  // QUERY (4.5). With ANY there is no generation to compare, so none may be given.
  logic any, record, commit;
  assign any = (header.flags & QUERY_ANY) != '0;
  assign record = (header.flags & QUERY_RECORD) != '0;
  assign commit = (header.flags & RESOLVE_COMMIT) != '0;
  assign query_ok = common && any == (header.generation == '0) && query.rsvd0 == '0 &&
      (record ? (query.record_addr & (64'(RECORD_ALIGN) - 64'd1)) == '0 : query.record_addr == '0);

  always_comb begin
    unique case (header.opcode)
      8'(OPCODE_NOP), 8'(OPCODE_FENCE): fields_ok = unaddressed && bare.rsvd0 == '0;
      8'(OPCODE_ADD): fields_ok = add_ok;
      8'(OPCODE_UPDATE): fields_ok = update_ok;
      8'(OPCODE_UPDATE4): fields_ok = update4_ok;
      8'(OPCODE_DELETE): fields_ok = addressed && bare.rsvd0 == '0;
      8'(OPCODE_QUERY): fields_ok = query_ok;
      8'(OPCODE_RESOLVE): fields_ok = addressed && resolve.rsvd0 == '0;
      default: fields_ok = 1'b1;
    endcase
  end

  // ---- 7: UNSUPPORTED -----------------------------------------------------------------------------

  logic offered, add_offered, udp_offered, icv_offered;

  always_comb begin
    unique case (add.udp_encap)
      UDP_ENCAP_NONE: udp_offered = 1'b1;
      UDP_ENCAP_TRANSPORT: udp_offered = straps_i.features[GLOBAL_FEATURES_UDP_TRANSPORT_LSB];
      UDP_ENCAP_TUNNEL: udp_offered = straps_i.features[GLOBAL_FEATURES_UDP_TUNNEL_LSB];
      default: udp_offered = 1'b0;
    endcase
    unique case (add.icv_len)
      8'd8: icv_offered = straps_i.algs[GLOBAL_ALGS_ICV_8_LSB];
      8'd12: icv_offered = straps_i.algs[GLOBAL_ALGS_ICV_12_LSB];
      default: icv_offered = straps_i.algs[GLOBAL_ALGS_ICV_16_LSB];
    endcase
    add_offered = udp_offered && icv_offered && straps_i.algs[add.algorithm[4:0]] &&
        straps_i.features[esp ? GLOBAL_FEATURES_ESP_LSB : GLOBAL_FEATURES_AH_LSB] &&
        straps_i.features[(add.mode == MODE_TUNNEL) ? GLOBAL_FEATURES_TUNNEL_LSB
                                           : GLOBAL_FEATURES_TRANSPORT_LSB] &&
        straps_i.features[v4 ? GLOBAL_FEATURES_IPV4_LSB : GLOBAL_FEATURES_IPV6_LSB] &&
        (!esn || straps_i.features[GLOBAL_FEATURES_ESN_LSB]) &&
        add.replay_window <= straps_i.max_window;
    unique case (header.opcode)
      8'(OPCODE_ADD): offered = add_offered;
      8'(OPCODE_QUERY): offered = !record || straps_i.features[GLOBAL_FEATURES_RECORD_LSB];
      8'(OPCODE_RESOLVE): offered = !commit || straps_i.features[GLOBAL_FEATURES_PROBE_COMMIT_LSB];
      default: offered = 1'b1;
    endcase
  end

  // ---- In order -----------------------------------------------------------------------------------

  logic is_add, index_ok;
  logic [7:0] status;
  update4_item_t item;

  assign is_add = header.opcode == 8'(OPCODE_ADD);
  assign index_ok = header.index < 32'(SaCapacity);
  assign staged_o = ring_i || stage_ok;

  always_comb begin
    status = STATUS_OK;
    if (!staged_o) status = STATUS_STAGE;
    else if (!opcode_ok) status = STATUS_BAD_OPCODE;
    else if (header.epoch != epoch_i) status = STATUS_BAD_EPOCH;
    else if (is_add && !pair_ok) status = STATUS_BAD_PAIR;
    else if (!fields_ok) status = STATUS_BAD_FIELD;
    else if (!index_ok) status = STATUS_BAD_INDEX;
    else if (!offered) status = STATUS_UNSUPPORTED;
  end

  always_comb begin
    unique case (item_i)
      2'd0: item = update4.item0;
      2'd1: item = update4.item1;
      2'd2: item = update4.item2;
      default: item = update4.item3;
    endcase
  end

  // ---- The beat -----------------------------------------------------------------------------------

  always_comb begin
    beat_o = '0;
    beat_o.kind = OpPlain;
    beat_o.ring = ring_i;
    beat_o.opcode = header.opcode[4:0];
    beat_o.cookie = ring_i ? header.cookie : 32'(bell_cookie_i);
    beat_o.status = status;
    beat_o.last = 1'b1;
    // Without a look at the status: it is compared with others before the pipeline knows.
    beat_o.index = (header.opcode == 8'(OPCODE_UPDATE4)) ? item.index[SaW-1:0]
                                                         : header.index[SaW-1:0];
    beat_o.generation = header.generation;
    if (!staged_o) beat_o.opcode = '0;
    if (status == STATUS_OK) begin
      unique case (header.opcode)
        8'(OPCODE_ADD): begin
          beat_o.kind = OpAdd;
          beat_o.spi = add.spi;
          beat_o.esp = esp;
          beat_o.outbound = add.direction == DIRECTION_OUT;
          beat_o.esn = esn;
          beat_o.hi = add.hi;
          beat_o.lo = add.lo;
          beat_o.lo_valid = lo_valid;
        end
        8'(OPCODE_DELETE): beat_o.kind = OpDelete;
        8'(OPCODE_UPDATE): begin
          beat_o.kind = OpUpdate;
          beat_o.spi = update.spi;
          beat_o.esp = update.protocol == PROTOCOL_ESP;
          beat_o.mode = update.mode[1:0];
          beat_o.cas = cas;
          beat_o.monotone = (header.flags & UPDATE_MONOTONE) != '0;
          beat_o.hi = update.hi;
          beat_o.lo = update.lo;
          beat_o.expected_hi = update.expected_hi;
        end
        8'(OPCODE_UPDATE4): begin
          beat_o.kind = OpItem;
          beat_o.generation = item.generation;
          beat_o.hi = item.hi;
          beat_o.mode = 2'(UPDATE_MODE_HI);
          beat_o.cas = (header.flags & UPDATE4_STEP) != '0;
          beat_o.expected_hi = item.hi - 32'd1;
          beat_o.item = item_i;
          beat_o.last = 3'(item_i) + 3'd1 == count;
          if (item.generation == '0) beat_o.status = STATUS_BAD_FIELD;
          else if (item.index >= 32'(SaCapacity)) beat_o.status = STATUS_BAD_INDEX;
        end
        8'(OPCODE_QUERY): begin
          beat_o.kind = OpQuery;
          beat_o.any = any;
          beat_o.record = record;
          {beat_o.hi, beat_o.lo} = query.record_addr;
        end
        8'(OPCODE_RESOLVE): begin
          beat_o.kind = OpResolve;
          beat_o.commit = commit;
          beat_o.lo = resolve.seq;
        end
        default: ;
      endcase
    end
  end

  // Only an ADD has one; nothing else moves these wires.
  always_comb begin
    row_o = '0;
    if (is_add) begin
      row_o.open.generation = header.generation;
      row_o.open.spi = add.spi;
      row_o.open.esp = esp;
      row_o.open.outbound = add.direction == DIRECTION_OUT;
      row_o.open.esn = esn;
      row_o.open.tunnel = add.mode == MODE_TUNNEL;
      row_o.open.algorithm = add.algorithm[2:0];
      row_o.open.icv = add.icv_len[4] ? 2'd2 : {1'b0, add.icv_len[2]};
      row_o.open.ipv6 = !v4;
      row_o.open.udp_encap = add.udp_encap[1:0];
      row_o.open.replay_window = add.replay_window[12:0];
      row_o.open.src = add.src;
      row_o.open.dst = add.dst;
      row_o.open.udp_src = add.udp_src;
      row_o.open.udp_dst = add.udp_dst;
      row_o.open.peer = add.peer;
      row_o.salt = add.salt;
      row_o.key = add.key;
    end
  end
endmodule
