# SPDX-License-Identifier: Apache-2.0
"""Reads the stand-in through NVIDIA's own Python binding and prints JSON.

Run with the library's folder in LD_LIBRARY_PATH and nvidia-ml-py importable.
"""
import json
import time

import pynvml as n


def now():
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)


def code_of(call, *arguments):
    try:
        call(*arguments)
    except n.NVMLError as error:
        return error.value
    return 0


def gpu(index):
    handle = n.nvmlDeviceGetHandleByIndex(index)
    before = now()
    energy = n.nvmlDeviceGetTotalEnergyConsumption(handle)
    after = now()
    fields = n.nvmlDeviceGetFieldValues(handle, [83, 186, (186, 1)])
    return {
        "before": before,
        "energy": energy,
        "after": after,
        "power": n.nvmlDeviceGetPowerUsage(handle),
        "field_power": fields[1].value.uiVal,
        "field_codes": [field.nvmlReturn for field in fields],
        "name": n.nvmlDeviceGetName(handle),
        "uuid": n.nvmlDeviceGetUUID(handle),
        "pci": n.nvmlDeviceGetPciInfo(handle).busId,
        "limit": n.nvmlDeviceGetEnforcedPowerLimit(handle),
        "memory": n.nvmlDeviceGetMemoryInfo(handle).total,
        "processes": [
            [p.pid, p.usedGpuMemory] for p in n.nvmlDeviceGetComputeRunningProcesses(handle)
        ],
    }


n.nvmlInit()
first, second, third = (n.nvmlDeviceGetHandleByIndex(i) for i in range(3))
kind, samples = n.nvmlDeviceGetSamples(first, n.NVML_TOTAL_POWER_SAMPLES, 0)
mig = n.nvmlDeviceGetMigDeviceHandleByIndex(third, 1)
report = {
    "driver": n.nvmlSystemGetDriverVersion(),
    "count": n.nvmlDeviceGetCount(),
    "gpus": [gpu(0), gpu(1)],
    "samples": [[s.timeStamp, s.sampleValue.uiVal] for s in samples],
    "sample_type": kind,
    "wall_shift": time.clock_gettime_ns(time.CLOCK_REALTIME) - now(),
    "utilization": [
        [s.pid, s.smUtil] for s in n.nvmlDeviceGetProcessUtilization(first, 0)
    ],
    "no_utilization": code_of(n.nvmlDeviceGetProcessUtilization, second, 0),
    "no_counter": code_of(n.nvmlDeviceGetTotalEnergyConsumption, third),
    "no_samples": code_of(n.nvmlDeviceGetSamples, second, n.NVML_TOTAL_POWER_SAMPLES, 0),
    "no_such_index": code_of(n.nvmlDeviceGetHandleByIndex, 9),
    "lost": code_of(n.nvmlDeviceGetHandleByIndex, 3),
    "mig_mode": n.nvmlDeviceGetMigMode(third),
    "mig_uuid": n.nvmlDeviceGetUUID(mig),
    "mig_instance": n.nvmlDeviceGetGpuInstanceId(mig),
    "mig_slices": n.nvmlDeviceGetAttributes(mig).gpuInstanceSliceCount,
    "mig_parent": n.nvmlDeviceGetUUID(n.nvmlDeviceGetDeviceHandleFromMigDeviceHandle(mig)),
    "mig_processes": [p.pid for p in n.nvmlDeviceGetComputeRunningProcesses(mig)],
}
n.nvmlShutdown()
report["after_shutdown"] = code_of(n.nvmlDeviceGetPowerUsage, first)
n.nvmlInit()
report["stale_handle"] = code_of(n.nvmlDeviceGetPowerUsage, first)
print(json.dumps(report))
