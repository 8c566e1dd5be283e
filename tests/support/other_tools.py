"""Small files as other tools write them, of invented figures unless they are said to be from somewhere."""

LIKWID = """\
STRUCT,Info,3,,
CPU name:,Some CPU,,,
TABLE,Region Compute,Group 1 Metric,MEM_DP,4
Metric,HWThread 0,,,
Runtime (RDTSC) [s],1.25,,,
DP [MFLOP/s],3200.5,,,
Memory bandwidth [MBytes/s],21000.0,,,
Operational intensity [FLOP/Byte],0.1524,,,
"""
ADVISOR = """\
Function Call Sites and Loops;Self Time;Self GFLOPS;Self AI;Self Memory GB;Type
[loop in stencil at s.c:12];1.250s;3.20;0.15;26.6;Vectorized (Body)
[function main];0.010s;;;;Function
"""
ERT = """\
  7818.02 FP64 GFLOPs EMP
META_DATA
FLOPS          8

  2674.54 L1 EMP
   523.62 DRAM EMP
"""
_RANKS = "".join(
    f"#  Rank  {rank} Group  0 Pid 10{rank} on node device  {rank} [0000:{rank}b:00] NVIDIA H100 80GB HBM3\n"
    for rank in range(8)
)
NCCL = f"""\
# nccl-tests version 2.17.6 nccl-headers=22807 nccl-library=22807
# Collective test starting: all_reduce_perf
# nThread 1 nGpus 8 minBytes 8589934592 maxBytes 8589934592 step: 2(factor) warmup iters: 5 iters: 20
# Using devices
{_RANKS}#
#                                                              out-of-place                       in-place
#       size         count      type   redop    root     time   algbw   busbw #wrong     time   algbw   busbw #wrong
#        (B)    (elements)                               (us)  (GB/s)  (GB/s)            (us)  (GB/s)  (GB/s)
  8589934592    4294967296  bfloat16     sum      -1    31300  274.44  480.27      0    31290  274.53  480.42      0
# Out of bounds values : 0 OK
# Avg bus bandwidth    : 480.345
"""
RCCL = """\
# Collective test starting: all_gather_perf
#  Rank  0 Pid 10 on node device  0 [0000:0c:00] AMD Instinct MI300X
#  Rank  1 Pid 10 on node device  1 [0000:22:00] AMD Instinct MI300X
#       size         count      type   redop    root     time   algbw   busbw #wrong     time   algbw   busbw #wrong
     1048576        131072     float    none      -1    30.00   34.95   17.48      0      N/A     N/A     N/A    N/A
"""
ROOFLINE = """\
device,HBMBw,HBMBwLow,HBMBwHigh,L2Bw,L1Bw,LDSBw,FP16Flops,FP32Flops,MFMAF16Flops,MFMABF16Flops,MFMAI8Ops
0,4100.5,4090.1,4110.0,20100.0,41000.0,62000.0,150000.0,140000.0,900000.0,910000.0,1800000.0
"""
_COUNTERS = (
    "TCC_EA0_RDREQ_sum,TCC_EA0_RDREQ_32B_sum,TCC_BUBBLE_sum,TCC_EA0_WRREQ_sum,TCC_EA0_WRREQ_64B_sum,"
    "SQ_INSTS_VALU_MFMA_MOPS_BF16,SQ_INSTS_VALU_ADD_F32,SQ_INSTS_VALU_FMA_F32"
)
PMC = f"""\
Dispatch_ID,Kernel_Name,Start_Timestamp,End_Timestamp,{_COUNTERS}
0,gemm_kernel,1000000,2000000,1000,200,100,400,300,1000000000,1000000,2000000
1,gemm_kernel,3000000,5000000,1000,200,100,400,300,1000000000,1000000,2000000
2,copy,5000000,5100000,1000,0,0,1000,1000,0,0,0
"""
GEMMS = """\
name,param: M,param: N,param: K,param: B,param: dtype_A_B,Kernel Time (µs)_mean,name_count
aten::mm,4096,4096,4096,,"('c10::BFloat16', 'c10::BFloat16')",250.0,3
aten::bmm,128,128,64,32,"('c10::Half', 'c10::Half')",20.0,1
"""
