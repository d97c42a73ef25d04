import { z } from 'zod'
import { faultOfLabels } from '../model/labels.ts'

export const LabelsSchema = z.record(z.string(), z.string()).superRefine((labels, context) => {
  const message = faultOfLabels(labels)
  if (message !== undefined) context.addIssue({ code: 'custom', message })
})
